// SPDX-License-Identifier: LGPL-2.1-or-later
// Writing pages into the images of a page store.
#pragma once

#include <cstring>
#include <vector>

#include "protect/memory_file.h"
#include "qemu/stream_reader.h"
#include "qemu/stream_xbzrle.h"

namespace segue {

// The pages of a checkpoint's redo log. Applying a record again changes nothing.
class ApplySink : public StreamEvents {
  public:
    explicit ApplySink(std::vector<MemoryFile>& images) : images_(images) {}

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
    std::uint8_t* at(std::uint32_t block, std::uint64_t offset) {
        return images_[block].bytes().data() + offset;
    }

  private:
    std::vector<MemoryFile>& images_;
};

// The pages of a first state. Most of a guest's memory may be zero: pages of a fresh file that stay
// so are not touched, which saves mapping them.
class FirstPageSink : public ApplySink {
  public:
    explicit FirstPageSink(std::vector<MemoryFile>& images) : ApplySink(images) {
        for (const MemoryFile& image : images)
            touched_.emplace_back(image.view().size() / kPageSize, !image.is_fresh());
    }
    void on_page(std::uint32_t block, std::uint64_t offset, const std::uint8_t* page) override {
        touched_[block][offset / kPageSize] = true;
        ApplySink::on_page(block, offset, page);
    }
    void on_fill(std::uint32_t block, std::uint64_t offset, std::uint8_t value) override {
        if (value == 0 && !touched_[block][offset / kPageSize]) return;
        touched_[block][offset / kPageSize] = true;
        ApplySink::on_fill(block, offset, value);
    }
    void on_delta(std::uint32_t block, std::uint64_t offset, ByteView encoded) override {
        touched_[block][offset / kPageSize] = true;
        ApplySink::on_delta(block, offset, encoded);
    }

  private:
    std::vector<std::vector<bool>> touched_;
};

}  // namespace segue
