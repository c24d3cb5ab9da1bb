// SPDX-License-Identifier: LGPL-2.1-or-later
// JPEG pictures (image types JPEG and JPEG_ALPHA, MJPEG frames), by libjpeg-turbo.
//
//   TRY(jpeg_encode(picture, 85, out));                    // appends a JFIF file
//   const JpegHeader header = TRY(jpeg_read_header(data));
//   TRY(jpeg_decode(data, pixels));                        // bgrx32, rows together, fourth byte
//   255
#pragma once

#include "spice/codec/picture.h"

namespace segue::spice::codec {

struct JpegHeader {
    std::uint32_t width = 0;
    std::uint32_t height = 0;

    std::size_t pixel_bytes() const { return std::size_t{width} * height * 4; }
};

// rgb16, bgr24, bgrx32 or bgra32 (whose alpha is left out); quality 1 to 100.
Result<> jpeg_encode(const PictureView& picture, int quality, Bytes& out);
Result<JpegHeader> jpeg_read_header(ByteView data);
// `pixels` has header.pixel_bytes(). Damaged data that libjpeg can go on from is no error: a video
// frame is better half than not shown.
Result<> jpeg_decode(ByteView data, std::span<std::uint8_t> pixels);

}  // namespace segue::spice::codec
