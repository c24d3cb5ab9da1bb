// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/client/display/decode.h"

#include <algorithm>
#include <memory>

#include "spice/canvas/bitmap.h"
#include "spice/codec/jpeg_codec.h"
#include "spice/codec/lz.h"
#include "spice/codec/lz4_codec.h"
#include "spice/codec/quic.h"

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
                                   canvas::Format palette_format, canvas::Image old,
                                   const Decode& decode) {
    if (shape.format == PixelFormat::bgrx32 || shape.format == PixelFormat::bgra32) {
        // A decoder that succeeds has written all pixels.
        canvas::Image image = TRY(canvas::Image::create_unfilled(
            shape.format == PixelFormat::bgra32 ? canvas::Format::argb32 : canvas::Format::xrgb32,
            shape.width, shape.height, std::move(old)));
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
                                canvas::Format palette_format, canvas::Image old) {
    const codec::LzHeader header = TRY(codec::lz_read_header(data));
    const Shape shape{header.format(), header.width, header.height, header.top_down};
    return decode_shape(shape, palette, palette_format, std::move(old),
                        [&](std::span<std::uint8_t> pixels) {
                            // The one type that leaves most of each pixel as it is.
                            if (header.type == codec::LzType::alpha_only)
                                std::fill(pixels.begin(), pixels.end(), 0);
                            return codec::lz_decode(data, pixels);
                        });
}

Result<canvas::Image> decode_jpeg(ByteView data, bool top_down, canvas::Image old) {
    const codec::JpegHeader header = TRY(codec::jpeg_read_header(data));
    const Shape shape{PixelFormat::bgrx32, header.width, header.height, top_down};
    return decode_shape(
        shape, {}, canvas::Format::xrgb32, std::move(old),
        [&](std::span<std::uint8_t> pixels) { return codec::jpeg_decode(data, pixels); });
}

Result<canvas::Image> decode_jpeg_alpha(ByteView data, std::size_t jpeg_size, bool top_down,
                                        canvas::Image old) {
    if (jpeg_size > data.size()) {
        return fail(ErrorCode::protocol, "a JPEG of {} bytes in {} bytes of data", jpeg_size,
                    data.size());
    }
    const ByteView jpeg = data.first(jpeg_size), alpha = data.subspan(jpeg_size);
    const codec::JpegHeader header = TRY(codec::jpeg_read_header(jpeg));
    const codec::LzHeader plane = TRY(codec::lz_read_header(alpha));
    if (plane.type != codec::LzType::alpha_only || plane.width != header.width ||
        plane.height != header.height) {
        return fail(ErrorCode::protocol, "the alpha plane of a JPEG is {}x{} of type {}",
                    plane.width, plane.height, static_cast<int>(plane.type));
    }
    const Shape shape{PixelFormat::bgra32, header.width, header.height, top_down};
    return decode_shape(shape, {}, canvas::Format::xrgb32, std::move(old),
                        [&](std::span<std::uint8_t> pixels) -> Result<> {
                            TRY(codec::jpeg_decode(jpeg, pixels));
                            return codec::lz_decode(alpha, pixels);
                        });
}

Result<canvas::Image> decode_quic(ByteView data, canvas::Image old) {
    const codec::QuicHeader header = TRY(codec::quic_read_header(data));
    const Shape shape{header.format(), header.width, header.height, true};
    return decode_shape(
        shape, {}, canvas::Format::xrgb32, std::move(old),
        [&](std::span<std::uint8_t> pixels) { return codec::quic_decode(data, pixels); });
}

Result<canvas::Image> decode_lz4(ByteView data, std::uint32_t width, std::uint32_t height,
                                 canvas::Image old) {
    const codec::Lz4Header header = TRY(codec::lz4_read_header(data));
    TRY(codec::check_size("LZ4", header.format, width, height));
    const Shape shape{header.format, width, height, header.top_down};
    return decode_shape(
        shape, {}, canvas::Format::xrgb32, std::move(old),
        [&](std::span<std::uint8_t> pixels) { return codec::lz4_decode(data, pixels); });
}

Result<canvas::SharedImage> image_of_glz(const std::shared_ptr<const codec::GlzPicture>& picture) {
    const codec::GlzHeader& header = picture->header;
    const std::size_t row = codec::row_size(header.format(), header.width);
    // Images are only read from where they are shared.
    auto* pixels = const_cast<std::uint8_t*>(picture->pixels.data());
    if (row % 4 != 0) {
        const canvas::Bitmap bitmap{
            bitmap_format(header.format()),       header.width,    header.height,
            static_cast<std::uint32_t>(row),      header.top_down, {},
            ByteView(pixels, row * header.height)};
        return std::make_shared<const canvas::Image>(TRY(canvas::image_of(bitmap)));
    }
    struct Held {
        std::shared_ptr<const codec::GlzPicture> owner;
        canvas::Image image;
    };
    const canvas::Format format = header.format() == PixelFormat::bgra32  ? canvas::Format::argb32
                                  : header.format() == PixelFormat::rgb16 ? canvas::Format::rgb555
                                                                          : canvas::Format::xrgb32;
    const auto stride = static_cast<std::int32_t>(row);
    auto* top = header.top_down ? pixels : pixels + row * (header.height - 1);
    auto held = std::make_shared<Held>(
        Held{picture, canvas::Image::wrap(format, static_cast<std::int32_t>(header.width),
                                          static_cast<std::int32_t>(header.height),
                                          header.top_down ? stride : -stride, top)});
    return canvas::SharedImage(held, &held->image);
}

}  // namespace segue::spice::client
