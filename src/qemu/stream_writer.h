// SPDX-License-Identifier: LGPL-2.1-or-later
// Writes the stream of a promotion: an ordinary migration stream made from a recorded head, the
// images of its RAM blocks and a version of the device state. Any QEMU with the same machine takes
// it with -incoming; it needs no COLO there. I/O-free; pages are not copied.
#pragma once

#include "base/bytes.h"
#include "qemu/stream_format.h"

namespace segue {

class FailoverStream {
  public:
    struct Block {
        ByteView image;  // exactly the length that the head states
        // The target maps the image itself (memory-backend-file, share=on, the only such block
        // kinds that it must not read from the stream). Any such block makes the stream one of
        // capability x-ignore-shared, which must then be on at the target.
        bool shared = false;
        // A bit for each page: false, and the page is known to hold zeros, which is then not read.
        // Null: nothing is known. Lives as long as the image.
        const std::vector<bool>* written = nullptr;
    };

    // All views must live as long as this object.
    FailoverStream(const StreamHead& head, std::vector<Block> blocks, ByteView device_state);

    // The next pieces, in order, for one writev(): at most kMaxPieces. None: the stream is
    // complete. The views are valid until the next call.
    static constexpr std::size_t kMaxPieces = 1024;
    std::vector<ByteView> next();

    // Bytes handed out so far.
    std::uint64_t size() const { return size_; }

  private:
    enum class Step { head, pages, tail, done };

    void write_head(BigWriter& out) const;
    void write_configuration(BigWriter& out) const;
    void next_pages(std::vector<ByteView>& pieces);
    void footer(BigWriter& out) const;

    const StreamHead& head_;
    std::vector<Block> blocks_;
    ByteView device_state_;
    bool ignore_shared_ = false;
    Step step_ = Step::head;
    std::size_t block_ = 0;
    std::uint64_t offset_ = 0;
    Bytes heads_;  // what is not a view of a page
    std::uint64_t size_ = 0;
};

}  // namespace segue
