// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/codec/quic.h"

using namespace segue::spice::codec;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const segue::ByteView input(data, size);
    const auto header = quic_read_header(input);
    if (!header || header->pixel_bytes() > (1u << 20)) return 0;
    segue::Bytes pixels(header->pixel_bytes());
    static_cast<void>(quic_decode(input, pixels).has_value());
    return 0;
}
