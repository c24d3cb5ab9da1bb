// SPDX-License-Identifier: LGPL-2.1-or-later
// zlib around GLZ data (image type ZLIB_GLZ_RGB). Both sizes are fields of the wire's ZlibGlzData.
#pragma once

#include "spice/codec/picture.h"

namespace segue::spice::codec {

// Appends. Level 3 is what servers use on slow links.
Result<> zlib_encode(ByteView data, Bytes& out, int level = 3);
// Exactly `size` bytes, at most kMaxPictureBytes.
Result<Bytes> zlib_decode(ByteView data, std::size_t size);

}  // namespace segue::spice::codec
