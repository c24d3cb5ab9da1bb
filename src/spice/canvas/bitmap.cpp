// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/canvas/bitmap.h"

#include <array>
#include <cstring>

#include "spice/canvas/pixels.h"

namespace segue::spice::canvas {
namespace {

struct Layout {
    int bits;
    Format format;
};

Result<Layout> layout_of(BitmapFormat format, Format palette_format) {
    switch (format) {
        case BitmapFormat::bit1_le:
        case BitmapFormat::bit1_be: return Layout{1, palette_format};
        case BitmapFormat::bit4_le:
        case BitmapFormat::bit4_be: return Layout{4, palette_format};
        case BitmapFormat::bit8: return Layout{8, palette_format};
        case BitmapFormat::rgb16: return Layout{16, Format::rgb555};
        case BitmapFormat::rgb24: return Layout{24, Format::xrgb32};
        case BitmapFormat::rgb32: return Layout{32, Format::xrgb32};
        case BitmapFormat::rgba: return Layout{32, Format::argb32};
        case BitmapFormat::alpha8: return Layout{8, Format::a8};
    }
    return fail(ErrorCode::invalid_argument, "bitmap format {} does not exist",
                static_cast<int>(format));
}

Result<> check_size(const Bitmap& bitmap, int bits) {
    const std::uint64_t line = (std::uint64_t{bitmap.width} * bits + 7) / 8;
    const std::uint64_t needed =
        bitmap.height == 0 ? 0 : std::uint64_t{bitmap.stride} * (bitmap.height - 1) + line;
    if (bitmap.stride < line || needed > bitmap.pixels.size()) {
        return fail(ErrorCode::invalid_argument,
                    "a bitmap of {}x{} pixels of {} bits with stride {} has only {} bytes",
                    bitmap.width, bitmap.height, bits, bitmap.stride, bitmap.pixels.size());
    }
    return {};
}

unsigned index_at(const std::uint8_t* line, std::uint32_t x, BitmapFormat format) {
    switch (format) {
        case BitmapFormat::bit1_le: return line[x >> 3] >> (x & 7) & 1;
        case BitmapFormat::bit1_be: return line[x >> 3] >> (7 - (x & 7)) & 1;
        case BitmapFormat::bit4_le: return line[x >> 1] >> (x & 1 ? 4 : 0) & 15;
        case BitmapFormat::bit4_be: return line[x >> 1] >> (x & 1 ? 0 : 4) & 15;
        default: return line[x];
    }
}

template <class Pixel>
void spread_palette(Pixel* to, const std::uint8_t* from, const Bitmap& bitmap,
                    const std::array<std::uint32_t, 256>& palette) {
    for (std::uint32_t x = 0; x < bitmap.width; ++x)
        to[x] = static_cast<Pixel>(palette[index_at(from, x, bitmap.format)]);
}

void spread_rgb24(std::uint32_t* to, const std::uint8_t* from, std::uint32_t width) {
    for (std::uint32_t x = 0; x < width; ++x, from += 3)
        to[x] = from[0] | from[1] << 8 | from[2] << 16;
}

const std::uint8_t* source_line(const Bitmap& bitmap, std::int32_t y) {
    const std::uint32_t line = bitmap.top_down ? y : bitmap.height - 1 - y;
    return bitmap.pixels.data() + std::size_t{line} * bitmap.stride;
}

}  // namespace

Result<Image> image_of(const Bitmap& bitmap, Format palette_format) {
    const Layout layout = TRY(layout_of(bitmap.format, palette_format));
    TRY(check_size(bitmap, layout.bits));
    Image image = TRY(Image::create(layout.format, bitmap.width, bitmap.height));
    std::array<std::uint32_t, 256> palette{};
    const std::size_t known = std::min(bitmap.palette.size(), palette.size());
    std::copy_n(bitmap.palette.begin(), known, palette.begin());
    const bool has_palette = layout.bits <= 8 && bitmap.format != BitmapFormat::alpha8;
    for (std::int32_t y = 0; y < image.height(); ++y) {
        const std::uint8_t* from = source_line(bitmap, y);
        if (has_palette) {
            with_pixel_type(layout.format, [&](auto zero) {
                spread_palette(pixels_of<decltype(zero)>(image, y), from, bitmap, palette);
            });
        } else if (bitmap.format == BitmapFormat::rgb24) {
            spread_rgb24(pixels_of<std::uint32_t>(image, y), from, bitmap.width);
        } else {
            std::memcpy(image.line(y), from, image.line_bytes());
        }
    }
    return image;
}

Result<Image> mask_of(const Bitmap& bitmap) {
    if (bitmap.format != BitmapFormat::bit1_le && bitmap.format != BitmapFormat::bit1_be) {
        return fail(ErrorCode::invalid_argument, "a mask has 1 bit a pixel, not format {}",
                    static_cast<int>(bitmap.format));
    }
    TRY(check_size(bitmap, 1));
    Image image = TRY(Image::create(Format::a1, bitmap.width, bitmap.height));
    for (std::int32_t y = 0; y < image.height(); ++y) {
        const std::uint8_t* from = source_line(bitmap, y);
        std::uint8_t* to = image.line(y);
        for (std::uint32_t x = 0; x < bitmap.width; ++x) {
            if (index_at(from, x, bitmap.format)) to[x >> 3] |= 1 << (x & 7);
        }
    }
    return image;
}

}  // namespace segue::spice::canvas
