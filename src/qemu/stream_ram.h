// SPDX-License-Identifier: LGPL-2.1-or-later
// The records of a RAM section: pages, fills and deltas. I/O-free, incremental, without a copy:
// what the sink is given points into the caller's input.
#pragma once

#include "base/result.h"
#include "qemu/stream_format.h"

namespace segue {

// Where pages go. Blocks are numbered as in StreamHead::blocks; offsets are multiples of kPageSize
// inside their block; deltas are sound.
class RamSink {
  public:
    virtual ~RamSink() = default;
    virtual void on_page(std::uint32_t block, std::uint64_t offset, const std::uint8_t* page) = 0;
    virtual void on_fill(std::uint32_t block, std::uint64_t offset, std::uint8_t value) = 0;
    virtual void on_delta(std::uint32_t block, std::uint64_t offset, ByteView encoded) = 0;
};

// One reader per connection: a record may refer to "the block of the record before", which may
// stand in an earlier section or checkpoint.
class RamReader {
  public:
    struct Progress {
        std::size_t used = 0;  // bytes of the input that are done with
        bool at_end = false;   // the record that ends the section was among them
    };

    // Uses whole records from the front of `input`; the caller presents the rest again, with more
    // behind it. `blocks` must be the same list in every call.
    Result<Progress> read(ByteView input, const std::vector<RamBlock>& blocks, RamSink& sink);

    // The current block, kNoBlock before the first record. A replay of recorded sections starts
    // from the value that stood here when they were recorded.
    static constexpr std::uint32_t kNoBlock = 0xffffffff;
    std::uint32_t current_block() const { return block_; }
    void set_current_block(std::uint32_t block) { block_ = block; }

  private:
    std::uint32_t block_ = kNoBlock;
};

}  // namespace segue
