// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/client/display/decode.h"

#include <algorithm>
#include <memory>

#include "spice/canvas/bitmap.h"
#include "spice/codec/lz.h"

namespace segue::spice::client {
namespace {

using codec::PixelFormat;

canvas::BitmapFormat bitmap_format(PixelFormat format) {
    switch (format) {
        case PixelFormat::one_bit_le: return canvas::BitmapFormat::bit1_le;
        case PixelFormat::one_bit_be: return canvas::BitmapFormat::bit1_be;
        case PixelFormat::four_bit_le: return canvas::BitmapFormat::bit4_le;
        case PixelFormat::four_bit_be: return canvas::BitmapFormat::bit4_be;
        case PixelFormat::eight_bit: return canvas::BitmapFormat::bit8;
        case PixelFormat::rgb16: return canvas::BitmapFormat::rgb16;
        case PixelFormat::bgr24: return canvas::BitmapFormat::rgb24;
        case PixelFormat::bgrx32: return canvas::BitmapFormat::rgb32;
        case PixelFormat::bgra32: return canvas::BitmapFormat::rgba;
        case PixelFormat::alpha8: return canvas::BitmapFormat::alpha8;
    }
    return canvas::BitmapFormat::rgb32;
}

void turn_over(canvas::Image& image) {
    for (std::int32_t y = 0; y < image.height() / 2; ++y) {
        std::uint8_t* line = image.line(y);
        std::swap_ranges(line, line + image.line_bytes(), image.line(image.height() - 1 - y));
    }
}

// What a codec says about its picture before it is decoded.
struct Shape {
    PixelFormat format;
    std::uint32_t width;
    std::uint32_t height;
    bool top_down;
};

// Lets `decode` fill the pixels: in place where a picture's lines are the codec's rows, else
// through a buffer.
template <class Decode>
Result<canvas::Image> decode_shape(const Shape& shape, std::span<const std::uint32_t> palette,
                                   canvas::Format palette_format, const Decode& decode) {
    if (shape.format == PixelFormat::bgrx32 || shape.format == PixelFormat::bgra32) {
        canvas::Image image = TRY(canvas::Image::create(
            shape.format == PixelFormat::bgra32 ? canvas::Format::argb32 : canvas::Format::xrgb32,
            shape.width, shape.height));
        const std::size_t size = image.line_bytes() * shape.height;
        TRY(decode(std::span<std::uint8_t>(image.line(0), size)));
        if (!shape.top_down) turn_over(image);
        return image;
    }
    const std::size_t row = codec::row_size(shape.format, shape.width);
    Bytes pixels(row * shape.height);
    TRY(decode(std::span<std::uint8_t>(pixels)));
    return canvas::image_of({bitmap_format(shape.format), shape.width, shape.height,
                             static_cast<std::uint32_t>(row), shape.top_down, palette, pixels},
                            palette_format);
}

}  // namespace

Result<canvas::Image> decode_lz(ByteView data, std::span<const std::uint32_t> palette,
                                canvas::Format palette_format) {
    const codec::LzHeader header = TRY(codec::lz_read_header(data));
    const Shape shape{header.format(), header.width, header.height, header.top_down};
    return decode_shape(shape, palette, palette_format, [&](std::span<std::uint8_t> pixels) {
        return codec::lz_decode(data, pixels);
    });
}

}  // namespace segue::spice::client
