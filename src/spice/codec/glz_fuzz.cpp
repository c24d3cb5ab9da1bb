// SPDX-License-Identifier: LGPL-2.1-or-later
// Input: pictures with a 16-bit size in front of each, all into one window.
#include "spice/codec/glz.h"

using namespace segue;
using namespace segue::spice::codec;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    LittleReader reader(ByteView(data, size));
    GlzWindow window(1 << 20);
    while (reader.remaining() > 2) {
        const ByteView picture =
            reader.bytes(std::min<std::size_t>(reader.u16(), reader.remaining()));
        const auto header = glz_read_header(picture);
        if (!header || header->pixels() > (1u << 20)) continue;
        if (!window.decode(picture)) break;
    }
    return 0;
}
