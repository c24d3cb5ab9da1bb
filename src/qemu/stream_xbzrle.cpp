// SPDX-License-Identifier: LGPL-2.1-or-later
#include "qemu/stream_xbzrle.h"

#include <cstring>

namespace segue {
namespace {

// A run length in one or two bytes of ULEB128 (QEMU writes no more for a page of 4096). Returns
// false at the end of input or for a longer number.
bool take_length(ByteView encoded, std::size_t& at, std::size_t& length) {
    if (at >= encoded.size()) return false;
    const std::uint8_t low = encoded[at++];
    length = low & 0x7f;
    if ((low & 0x80) == 0) return true;
    if (at >= encoded.size() || (encoded[at] & 0x80) != 0) return false;
    length |= static_cast<std::size_t>(encoded[at++]) << 7;
    return true;
}

// Calls use(position in the page, the bytes there) for each run.
template <class Use>
bool walk(ByteView encoded, Use&& use) {
    std::size_t at = 0;
    std::size_t position = 0;
    std::size_t length = 0;
    while (at < encoded.size()) {
        if (!take_length(encoded, at, length)) return false;
        position += length;
        if (position > kPageSize) return false;
        if (!take_length(encoded, at, length)) return false;
        if (length == 0 || length > kPageSize - position || length > encoded.size() - at) {
            return false;
        }
        use(position, encoded.subspan(at, length));
        position += length;
        at += length;
    }
    return true;
}

}  // namespace

bool is_sound_delta(ByteView encoded) {
    return walk(encoded, [](std::size_t, ByteView) {});
}

void apply_delta(ByteView encoded, std::span<std::uint8_t, kPageSize> page) {
    walk(encoded, [page](std::size_t position, ByteView bytes) {
        std::memcpy(page.data() + position, bytes.data(), bytes.size());
    });
}

}  // namespace segue
