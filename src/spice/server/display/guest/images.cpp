// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/guest/images.h"

#include <spice/enums.h>

#include <algorithm>
#include <cstddef>

#include "spice/codec/quic.h"

namespace segue::spice::server {
namespace {

constexpr std::size_t kDescriptorSize = sizeof(QXLImageDescriptor);
constexpr std::uint16_t kMostPaletteEntries = 256;

unsigned bits_of(std::uint8_t bitmap_format) {
    switch (bitmap_format) {
        case SPICE_BITMAP_FMT_1BIT_LE:
        case SPICE_BITMAP_FMT_1BIT_BE: return 1;
        case SPICE_BITMAP_FMT_4BIT_LE:
        case SPICE_BITMAP_FMT_4BIT_BE: return 4;
        case SPICE_BITMAP_FMT_8BIT:
        case SPICE_BITMAP_FMT_8BIT_A: return 8;
        case SPICE_BITMAP_FMT_16BIT: return 16;
        case SPICE_BITMAP_FMT_24BIT: return 24;
        case SPICE_BITMAP_FMT_32BIT:
        case SPICE_BITMAP_FMT_RGBA: return 32;
        default: return 0;
    }
}

// The bytes of a bitmap, of which some may be a copy that this object keeps.
struct BitmapBytes {
    QXLBitmap header{};
    std::uint8_t* data = nullptr;
    Bytes copy;

    const std::uint8_t* line(std::uint32_t y) const {
        const bool top_down = (header.flags & QXL_BITMAP_TOP_DOWN) != 0;
        const std::uint32_t from_start = top_down ? y : header.y - 1 - y;
        return data + std::size_t{from_start} * header.stride;
    }
};

Result<BitmapBytes> read_bitmap(const GuestMemory& memory, const QXLBitmap& header) {
    const unsigned bits = bits_of(header.format);
    if (bits == 0) return fail(ErrorCode::protocol, "guest bitmap: format {}", +header.format);
    const bool fits = header.x <= canvas::kMaxSide && header.y <= canvas::kMaxSide;
    if (!fits || header.x == 0 || header.y == 0) {
        return fail(ErrorCode::protocol, "guest bitmap: {}x{} pixels, at most {} aside", +header.x,
                    +header.y, canvas::kMaxSide);
    }
    if (header.stride < (std::uint64_t{header.x} * bits + 7) / 8) {
        return fail(ErrorCode::protocol, "guest bitmap: {} pixels in lines of {} bytes", +header.x,
                    +header.stride);
    }
    const std::uint64_t size = std::uint64_t{header.stride} * header.y;
    BitmapBytes bitmap;
    bitmap.header = header;
    if ((header.flags & QXL_BITMAP_DIRECT) != 0) {
        bitmap.data = TRY(memory.view(header.data, size));
        return bitmap;
    }
    bitmap.copy = TRY(memory.read_chunks(
        header.data, std::min<std::uint64_t>(size, GuestMemory::kMostChunkedBytes)));
    if (bitmap.copy.size() < size) {
        return fail(ErrorCode::protocol, "guest bitmap: {} bytes in chunks, {} needed",
                    bitmap.copy.size(), size);
    }
    bitmap.data = bitmap.copy.data();
    return bitmap;
}

Result<std::vector<std::uint32_t>> read_palette(const GuestMemory& memory, QXLPHYSICAL address) {
    const auto header = TRY(memory.read<QXLPalette>(address));
    if (header.num_ents > kMostPaletteEntries) {
        return fail(ErrorCode::protocol, "guest palette: {} entries, at most {}", +header.num_ents,
                    kMostPaletteEntries);
    }
    const std::uint8_t* entries =
        TRY(memory.view(address + sizeof(QXLPalette), header.num_ents * sizeof(std::uint32_t)));
    // Indices that the palette does not have are black.
    std::vector<std::uint32_t> colors(kMostPaletteEntries, 0);
    std::memcpy(colors.data(), entries, header.num_ents * sizeof(std::uint32_t));
    return colors;
}

unsigned palette_index(const std::uint8_t* line, std::uint32_t x, std::uint8_t format) {
    switch (format) {
        case SPICE_BITMAP_FMT_1BIT_BE: return (line[x / 8] >> (7 - x % 8)) & 1u;
        case SPICE_BITMAP_FMT_1BIT_LE: return (line[x / 8] >> (x % 8)) & 1u;
        case SPICE_BITMAP_FMT_4BIT_BE: return (line[x / 2] >> (x % 2 == 0 ? 4 : 0)) & 15u;
        case SPICE_BITMAP_FMT_4BIT_LE: return (line[x / 2] >> (x % 2 == 0 ? 0 : 4)) & 15u;
        default: return line[x];
    }
}

Result<canvas::Image> convert_palette(const GuestMemory& memory, const BitmapBytes& bitmap) {
    const std::vector<std::uint32_t> colors = TRY(read_palette(memory, bitmap.header.palette));
    canvas::Image image =
        TRY(canvas::Image::create(canvas::Format::xrgb32, bitmap.header.x, bitmap.header.y));
    for (std::uint32_t y = 0; y < bitmap.header.y; ++y) {
        const std::uint8_t* from = bitmap.line(y);
        auto* to = reinterpret_cast<std::uint32_t*>(image.line(static_cast<std::int32_t>(y)));
        for (std::uint32_t x = 0; x < bitmap.header.x; ++x)
            to[x] = colors[palette_index(from, x, bitmap.header.format)];
    }
    return image;
}

Result<canvas::Image> convert_24(const BitmapBytes& bitmap) {
    canvas::Image image =
        TRY(canvas::Image::create(canvas::Format::xrgb32, bitmap.header.x, bitmap.header.y));
    for (std::uint32_t y = 0; y < bitmap.header.y; ++y) {
        const std::uint8_t* from = bitmap.line(y);
        auto* to = reinterpret_cast<std::uint32_t*>(image.line(static_cast<std::int32_t>(y)));
        for (std::uint32_t x = 0; x < bitmap.header.x; ++x, from += 3)
            to[x] =
                std::uint32_t{from[0]} | std::uint32_t{from[1]} << 8 | std::uint32_t{from[2]} << 16;
    }
    return image;
}

// A view of a bitmap whose pixels the canvas reads as they are, or a copy where the guest's lines
// are not aligned as the canvas wants them.
Result<canvas::Image> take_as(canvas::Format format, const BitmapBytes& bitmap) {
    const bool direct = bitmap.copy.empty();
    const auto first = reinterpret_cast<std::uintptr_t>(bitmap.data);
    if (direct && bitmap.header.stride % 4 == 0 && first % 4 == 0 &&
        bitmap.header.stride <= INT32_MAX) {
        const auto stride = static_cast<std::int32_t>(bitmap.header.stride);
        const bool top_down = (bitmap.header.flags & QXL_BITMAP_TOP_DOWN) != 0;
        return canvas::Image::wrap(format, static_cast<std::int32_t>(bitmap.header.x),
                                   static_cast<std::int32_t>(bitmap.header.y),
                                   top_down ? stride : -stride,
                                   const_cast<std::uint8_t*>(bitmap.line(0)));
    }
    canvas::Image image = TRY(canvas::Image::create(format, bitmap.header.x, bitmap.header.y));
    for (std::uint32_t y = 0; y < bitmap.header.y; ++y) {
        const std::uint8_t* from = bitmap.line(y);
        std::copy(from, from + image.line_bytes(), image.line(static_cast<std::int32_t>(y)));
    }
    return image;
}

Result<canvas::Image> convert_bitmap(const GuestMemory& memory, const QXLBitmap& header) {
    const BitmapBytes bitmap = TRY(read_bitmap(memory, header));
    switch (header.format) {
        case SPICE_BITMAP_FMT_16BIT: return take_as(canvas::Format::rgb555, bitmap);
        case SPICE_BITMAP_FMT_24BIT: return convert_24(bitmap);
        case SPICE_BITMAP_FMT_32BIT: return take_as(canvas::Format::xrgb32, bitmap);
        case SPICE_BITMAP_FMT_RGBA: return take_as(canvas::Format::argb32, bitmap);
        case SPICE_BITMAP_FMT_8BIT_A: return take_as(canvas::Format::a8, bitmap);
        default: return convert_palette(memory, bitmap);
    }
}

// What old drivers compress themselves; stock draws it, too.
Result<canvas::Image> decode_quic(const GuestMemory& memory, QXLPHYSICAL address) {
    const auto header = TRY(memory.read<QXLQUICData>(address));
    if (header.data_size > GuestMemory::kMostChunkedBytes) {
        return fail(ErrorCode::protocol, "guest image: {} bytes of QUIC, at most {}",
                    +header.data_size, GuestMemory::kMostChunkedBytes);
    }
    const Bytes data = TRY(memory.read_chunks(address + sizeof header, header.data_size));
    const codec::QuicHeader picture = TRY(codec::quic_read_header(data));
    canvas::Format format = canvas::Format::xrgb32;
    switch (picture.type) {
        case codec::QuicType::rgb16: format = canvas::Format::rgb555; break;
        case codec::QuicType::rgb24:
        case codec::QuicType::rgb32: break;
        case codec::QuicType::rgba: format = canvas::Format::argb32; break;
        case codec::QuicType::gray: return fail(ErrorCode::protocol, "guest image: QUIC in gray");
    }
    // No memory is touched before there are pixels to fill it: a picture's size costs nothing.
    canvas::Image image =
        TRY(canvas::Image::create_unfilled(format, picture.width, picture.height, {}));
    if (static_cast<std::size_t>(image.stride()) == picture.row_bytes()) {
        TRY(codec::quic_decode(data, {image.line(0), picture.pixel_bytes()}));
        return image;
    }
    codec::PixelBuffer rows(picture.pixel_bytes());
    TRY(codec::quic_decode(data, rows.span()));
    for (std::uint32_t y = 0; y < picture.height; ++y) {
        std::memcpy(image.line(static_cast<std::int32_t>(y)), rows.data() + y * picture.row_bytes(),
                    picture.row_bytes());
    }
    return image;
}

canvas::Image view_of(const canvas::Image& image) {
    return image.view_as(image.format());
}

}  // namespace

Result<canvas::Image> read_image(const GuestMemory& memory, const Surfaces& surfaces,
                                 QXLPHYSICAL address, const Surface** named_surface) {
    const auto descriptor = TRY(memory.read<QXLImageDescriptor>(address));
    if (descriptor.type == SPICE_IMAGE_TYPE_SURFACE) {
        const auto named = TRY(memory.read<QXLSurfaceId>(address + kDescriptorSize));
        const Surface* surface = surfaces.find(named.surface_id);
        if (surface == nullptr) {
            return fail(ErrorCode::protocol, "guest image: surface {} does not exist",
                        +named.surface_id);
        }
        if (named_surface != nullptr) *named_surface = surface;
        return view_of(surface->drawn_image());
    }
    if (descriptor.type == SPICE_IMAGE_TYPE_QUIC)
        return decode_quic(memory, address + kDescriptorSize);
    if (descriptor.type != SPICE_IMAGE_TYPE_BITMAP) {
        return fail(ErrorCode::protocol, "guest image: type {} is not one that guests may draw",
                    +descriptor.type);
    }
    return convert_bitmap(memory, TRY(memory.read<QXLBitmap>(address + kDescriptorSize)));
}

Result<canvas::Image> read_mask(const GuestMemory& memory, QXLPHYSICAL address) {
    const auto descriptor = TRY(memory.read<QXLImageDescriptor>(address));
    const auto header = TRY(memory.read<QXLBitmap>(address + kDescriptorSize));
    if (descriptor.type != SPICE_IMAGE_TYPE_BITMAP ||
        (header.format != SPICE_BITMAP_FMT_1BIT_BE && header.format != SPICE_BITMAP_FMT_1BIT_LE)) {
        return fail(ErrorCode::protocol, "guest mask: image type {}, format {}: not one bit",
                    +descriptor.type, +header.format);
    }
    const BitmapBytes bitmap = TRY(read_bitmap(memory, header));
    canvas::Image mask = TRY(canvas::Image::create(canvas::Format::a1, header.x, header.y));
    for (std::uint32_t y = 0; y < header.y; ++y) {
        const std::uint8_t* from = bitmap.line(y);
        std::uint8_t* to = mask.line(static_cast<std::int32_t>(y));
        for (std::uint32_t x = 0; x < header.x; ++x) {
            if (palette_index(from, x, header.format) != 0)
                to[x / 8] = static_cast<std::uint8_t>(to[x / 8] | 1u << (x % 8));
        }
    }
    return mask;
}

}  // namespace segue::spice::server
