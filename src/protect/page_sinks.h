// SPDX-License-Identifier: LGPL-2.1-or-later
// Writing pages into the images of a page store, which notes those that may hold something.
#pragma once

#include <cstring>
#include <vector>

#include "protect/memory_file.h"
#include "qemu/stream_reader.h"
#include "qemu/stream_xbzrle.h"

namespace segue {

// Of each image, a bit for each page: false, and the page holds zeros, as the file was made.
using WrittenPages = std::vector<std::vector<bool>>;

// The pages of a checkpoint's redo log. Applying a record again changes nothing.
class ApplySink : public StreamEvents {
  public:
    ApplySink(std::vector<MemoryFile>& images, WrittenPages& written)
        : images_(images), written_(written) {}

    Result<> on_head(const StreamHead&) override { return {}; }
    Result<> on_first_state(ByteView) override { return {}; }
    Result<> on_message(ColoMessage) override { return {}; }
    Result<> on_checkpoint_state(ByteView) override { return {}; }

    void on_page(std::uint32_t block, std::uint64_t offset, const std::uint8_t* page) override {
        std::memcpy(at(block, offset), page, kPageSize);
    }
    void on_fill(std::uint32_t block, std::uint64_t offset, std::uint8_t value) override {
        std::memset(at(block, offset), value, kPageSize);
    }
    void on_delta(std::uint32_t block, std::uint64_t offset, ByteView encoded) override {
        apply_delta(encoded, std::span<std::uint8_t, kPageSize>(at(block, offset), kPageSize));
    }

  protected:
    bool is_written(std::uint32_t block, std::uint64_t offset) const {
        return written_[block][offset / kPageSize];
    }

  private:
    std::uint8_t* at(std::uint32_t block, std::uint64_t offset) {
        written_[block][offset / kPageSize] = true;
        return images_[block].bytes().data() + offset;
    }

    std::vector<MemoryFile>& images_;
    WrittenPages& written_;
};

// The pages of a first state. Most of a guest's memory may be zero: pages of a fresh file that stay
// so are not touched, which saves mapping them.
class FirstPageSink : public ApplySink {
  public:
    using ApplySink::ApplySink;

    void on_fill(std::uint32_t block, std::uint64_t offset, std::uint8_t value) override {
        if (value != 0 || is_written(block, offset)) ApplySink::on_fill(block, offset, value);
    }
};

}  // namespace segue
