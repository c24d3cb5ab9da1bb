// SPDX-License-Identifier: LGPL-2.1-or-later
// Reads of guest memory for the parsers: each copies once, so that what is checked is what is used
// although the guest may write meanwhile. QXL's structures are packed: where a reference would be
// bound to a field, as in an error's text, the field is read by value (`+field`).
#pragma once

#include <cstring>

#include "spice/server/display/guest/memslots.h"

namespace segue::spice::server {

class GuestMemory {
  public:
    // Chunked data (clip rectangles, paths, strings, cursors, chunked bitmaps) above this is
    // refused; a 4096x4096 bitmap at 32 bits fits.
    static constexpr std::size_t kMostChunkedBytes = 64u << 20;
    // A list of empty chunks may not loop for ever.
    static constexpr std::size_t kMostChunks = 1u << 16;

    // `memory_group` is the group that all addresses of this reader belong to.
    GuestMemory(const MemorySlots& slots, std::uint32_t memory_group)
        : slots_(slots), group_(memory_group) {}

    std::uint32_t group() const { return group_; }

    template <class T>
    Result<T> read(QXLPHYSICAL address) const {
        const std::uint8_t* from = TRY(slots_.translate(group_, address, sizeof(T)));
        T copy;
        std::memcpy(&copy, from, sizeof copy);
        return copy;
    }

    Result<std::uint8_t*> view(QXLPHYSICAL address, std::size_t size) const {
        return slots_.translate(group_, address, size);
    }

    // The bytes of a QXLDataChunk list, at most `limit` of them.
    Result<Bytes> read_chunks(QXLPHYSICAL first_chunk, std::size_t limit = kMostChunkedBytes) const;

  private:
    const MemorySlots& slots_;
    std::uint32_t group_;
};

}  // namespace segue::spice::server
