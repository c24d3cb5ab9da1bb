// SPDX-License-Identifier: LGPL-2.1-or-later
// SPICE's LZ4 pictures: u8 top-down, u8 bitmap format, then blocks of u32 size (big endian) and LZ4
// data; each block may refer to those before it. Rows lie together. The LZ4 is liblz4's.
//
//   TRY(lz4_encode(picture, out));                                   // appends
//   const Lz4Header header = TRY(lz4_read_header(data));
//   PixelBuffer pixels(row_size(header.format, width) * height);     // sizes from the image
//   descriptor TRY(lz4_decode(data, pixels.span()));
#pragma once

#include "spice/codec/picture.h"

namespace segue::spice::codec {

struct Lz4Header {
    PixelFormat format = PixelFormat::bgrx32;  // rgb16, bgr24, bgrx32 or bgra32
    bool top_down = true;
};

Result<> lz4_encode(const PictureView& picture, Bytes& out);
Result<Lz4Header> lz4_read_header(ByteView data);
// `pixels` is the whole picture: data for more or for less is an error.
Result<> lz4_decode(ByteView data, std::span<std::uint8_t> pixels);

// A plain LZ4 block, as device channels carry their data. `out` is exactly what it becomes.
Result<> lz4_decode_block(ByteView data, std::span<std::uint8_t> out);
Bytes lz4_encode_block(ByteView data);

}  // namespace segue::spice::codec
