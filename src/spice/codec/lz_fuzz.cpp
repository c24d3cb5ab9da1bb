// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/codec/lz.h"

using namespace segue::spice::codec;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const segue::ByteView input(data, size);
    const auto header = lz_read_header(input);
    // Pictures of a few megabytes show all there is; larger ones only cost time.
    if (!header || header->pixel_bytes() > (4u << 20)) return 0;
    segue::Bytes pixels(header->pixel_bytes());
    const auto done = lz_decode(input, pixels);
    static_cast<void>(done);
    return 0;
}
