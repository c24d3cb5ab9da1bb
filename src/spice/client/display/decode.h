// SPDX-License-Identifier: LGPL-2.1-or-later
// Compressed pictures as pixels. Every function is bounded by the codec's limits on sides and
// bytes. `old` is a picture that nobody needs any more: its memory is used again where it can be.
#pragma once

#include <span>

#include "base/bytes.h"
#include "spice/canvas/image.h"
#include "spice/codec/glz.h"

namespace segue::spice::client {

// LZ_RGB, and LZ_PLT with its palette (see canvas::Bitmap::palette).
// Errors: protocol or limit_exceeded, which say what is wrong with the data.
Result<canvas::Image> decode_lz(ByteView data, std::span<const std::uint32_t> palette,
                                canvas::Format palette_format, canvas::Image old = {});

// JPEG; `top_down` of a stream. Without alpha.
Result<canvas::Image> decode_jpeg(ByteView data, bool top_down, canvas::Image old = {});
// JPEG_ALPHA: a JPEG of `jpeg_size` bytes, and the alpha plane behind it as LZ.
Result<canvas::Image> decode_jpeg_alpha(ByteView data, std::size_t jpeg_size, bool top_down,
                                        canvas::Image old = {});
Result<canvas::Image> decode_quic(ByteView data, canvas::Image old = {});
// LZ4, whose size only the image itself says.
Result<canvas::Image> decode_lz4(ByteView data, std::uint32_t width, std::uint32_t height,
                                 canvas::Image old = {});

// A picture of the GLZ window as it stands there: nothing is copied where its lines allow it.
Result<canvas::SharedImage> image_of_glz(const std::shared_ptr<const codec::GlzPicture>& picture);

}  // namespace segue::spice::client
