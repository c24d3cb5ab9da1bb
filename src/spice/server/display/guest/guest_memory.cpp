// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/guest/guest_memory.h"

namespace segue::spice::server {

Result<Bytes> GuestMemory::read_chunks(QXLPHYSICAL first_chunk, std::size_t limit) const {
    Bytes all;
    QXLPHYSICAL at = first_chunk;
    for (std::size_t hops = 0; at != 0; ++hops) {
        if (hops == kMostChunks) {
            return fail(ErrorCode::protocol, "guest data at {:#x}: more than {} chunks",
                        first_chunk, kMostChunks);
        }
        const auto chunk = TRY(read<QXLDataChunk>(at));
        if (chunk.data_size > limit - all.size()) {
            return fail(ErrorCode::protocol, "guest data at {:#x}: more than {} bytes", first_chunk,
                        limit);
        }
        const std::uint8_t* data = TRY(view(at + sizeof(QXLDataChunk), chunk.data_size));
        all.insert(all.end(), data, data + chunk.data_size);
        at = chunk.next_chunk;
    }
    return all;
}

}  // namespace segue::spice::server
