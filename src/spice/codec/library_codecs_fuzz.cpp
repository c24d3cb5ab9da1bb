// SPDX-License-Identifier: LGPL-2.1-or-later
// First byte: which decoder.
#include "spice/codec/jpeg_codec.h"
#include "spice/codec/lz4_codec.h"
#include "spice/codec/zlib_codec.h"

using namespace segue;
using namespace segue::spice::codec;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 4) return 0;
    const ByteView input(data + 4, size - 4);
    const std::size_t room = load<ByteOrder::little, std::uint16_t>(data + 1);
    if (data[0] % 3 == 0) {
        Bytes pixels(room);
        static_cast<void>(lz4_decode(input, pixels).has_value());
    } else if (data[0] % 3 == 1) {
        static_cast<void>(zlib_decode(input, room).has_value());
    } else {
        const auto header = jpeg_read_header(input);
        if (!header || header->pixel_bytes() > (4u << 20)) return 0;
        Bytes pixels(header->pixel_bytes());
        static_cast<void>(jpeg_decode(input, pixels).has_value());
    }
    return 0;
}
