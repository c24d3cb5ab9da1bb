// SPDX-License-Identifier: LGPL-2.1-or-later
// The seven forms of a cursor as one picture with alpha. Colour cursors carry a mask of one bit a
// pixel behind their pixels: set means that the pixel is not drawn (or inverts, for a white one).
#include <array>

#include "spice/client/cursor_channel.h"

namespace segue::spice::client {
namespace {

using wire::cursor::CursorHeader;
using wire::cursor::CursorType;

constexpr std::uint32_t kOpaque = 0xff000000;

bool bit_at(ByteView plane, std::size_t stride, std::uint32_t x, std::uint32_t y) {
    return plane[y * stride + x / 8] >> (7 - x % 8) & 1;
}

class Painter {
  public:
    static Result<Painter> make(const CursorHeader& header) {
        Painter painter;
        painter.image_ =
            TRY(canvas::Image::create(canvas::Format::argb32, header.width, header.height));
        painter.inverts_ =
            TRY(canvas::Image::create(canvas::Format::a8, header.width, header.height));
        return painter;
    }
    void set(std::uint32_t x, std::uint32_t y, std::uint32_t argb) {
        reinterpret_cast<std::uint32_t*>(image_.line(static_cast<std::int32_t>(y)))[x] = argb;
    }
    void invert(std::uint32_t x, std::uint32_t y) {
        inverts_.line(static_cast<std::int32_t>(y))[x] = 0xff;
        has_inverts_ = true;
    }
    CursorShape take(const CursorHeader& header) {
        CursorShape shape;
        shape.image = std::make_shared<const canvas::Image>(std::move(image_));
        if (has_inverts_)
            shape.inverts = std::make_shared<const canvas::Image>(std::move(inverts_));
        shape.hot_x = header.hot_spot_x;
        shape.hot_y = header.hot_spot_y;
        return shape;
    }

  private:
    canvas::Image image_;
    canvas::Image inverts_;
    bool has_inverts_ = false;
};

// Sizes of the parts of a cursor's data, in bytes.
struct Layout {
    std::size_t pixel_stride = 0;
    std::size_t palette = 0;
    std::size_t mask_stride = 0;
};

Layout layout_of(const CursorHeader& header) {
    const std::size_t width = header.width, bits = (width + 7) / 8;
    switch (header.type) {
        case CursorType::alpha: return {width * 4, 0, 0};
        case CursorType::mono: return {bits, 0, bits};
        case CursorType::color4: return {(width + 1) / 2, 16 * 4, bits};
        case CursorType::color8: return {width, 256 * 4, bits};
        case CursorType::color16: return {width * 2, 0, bits};
        case CursorType::color24: return {width * 3, 0, bits};
        case CursorType::color32: return {width * 4, 0, bits};
    }
    return {};
}

std::uint32_t color_of(CursorType type, ByteView line, ByteView palette, std::uint32_t x) {
    const auto entry = [&](unsigned index) {
        return load<ByteOrder::little, std::uint32_t>(palette.data() + std::size_t{index} * 4);
    };
    switch (type) {
        case CursorType::color4: return entry(x % 2 ? line[x / 2] & 15 : line[x / 2] >> 4);
        case CursorType::color8: return entry(line[x]);
        case CursorType::color16: {
            const unsigned value = line[x * 2] | line[x * 2 + 1] << 8;
            const auto wide = [](unsigned five) { return five << 3 | five >> 2; };
            return wide(value >> 10 & 31) << 16 | wide(value >> 5 & 31) << 8 | wide(value & 31);
        }
        case CursorType::color24: return line[x * 3] | line[x * 3 + 1] << 8 | line[x * 3 + 2] << 16;
        default: return load<ByteOrder::little, std::uint32_t>(line.data() + std::size_t{x} * 4);
    }
}

// AND plane (data), XOR plane (mask): 0,0 black; 0,1 white; 1,0 nothing; 1,1 inverts.
void paint_mono(Painter& painter, bool and_bit, bool xor_bit, std::uint32_t x, std::uint32_t y) {
    if (!and_bit) {
        painter.set(x, y, xor_bit ? kOpaque | 0xffffff : kOpaque);
    } else if (xor_bit) {
        painter.invert(x, y);
    }
}

}  // namespace

Result<CursorShape> decode_cursor(const CursorHeader& header, ByteView data) {
    const Layout layout = layout_of(header);
    const std::size_t pixels = layout.pixel_stride * header.height;
    const std::size_t needed = pixels + layout.palette + layout.mask_stride * header.height;
    if (data.size() < needed) {
        return fail(ErrorCode::protocol, "a cursor of {}x{} pixels of type {} has {} bytes of {}",
                    header.width, header.height, static_cast<int>(header.type), data.size(),
                    needed);
    }
    if (header.width == 0 || header.height == 0) return CursorShape{};
    Painter painter = TRY(Painter::make(header));
    const ByteView palette = data.subspan(pixels, layout.palette);
    const ByteView mask = data.subspan(pixels + layout.palette);
    for (std::uint32_t y = 0; y < header.height; ++y) {
        const ByteView line = data.subspan(y * layout.pixel_stride, layout.pixel_stride);
        for (std::uint32_t x = 0; x < header.width; ++x) {
            const bool masked = layout.mask_stride > 0 && bit_at(mask, layout.mask_stride, x, y);
            if (header.type == CursorType::mono) {
                paint_mono(painter, bit_at(line, layout.pixel_stride, x, 0), masked, x, y);
                continue;
            }
            const std::uint32_t color = color_of(header.type, line, palette, x);
            if (header.type == CursorType::alpha) {
                painter.set(x, y, color);
            } else if (!masked) {
                painter.set(x, y, color | kOpaque);
            } else if ((color & 0xffffff) == 0xffffff) {
                painter.invert(x, y);
            }
        }
    }
    return painter.take(header);
}

}  // namespace segue::spice::client
