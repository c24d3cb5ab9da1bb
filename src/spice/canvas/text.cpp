// SPDX-License-Identifier: LGPL-2.1-or-later
// Strings of glyphs: they are put into one mask, through which the brush paints.
#include <algorithm>

#include "spice/canvas/draw.h"
#include "spice/canvas/pixels.h"
#include "spice/canvas/pixman_image.h"

namespace segue::spice::canvas {
namespace {

Rect box_of(const Glyph& glyph) {
    const auto clamp = [](std::int64_t value) {
        return static_cast<std::int32_t>(std::clamp<std::int64_t>(value, -kMaxSide, kMaxSide));
    };
    const std::int64_t left = std::int64_t{glyph.position.x} + glyph.origin.x;
    const std::int64_t top = std::int64_t{glyph.position.y} + glyph.origin.y;
    return {clamp(left), clamp(top), clamp(left + glyph.width), clamp(top + glyph.height)};
}

// Coverage of a glyph's pixel, 0..255. Lines are stored bottom up.
std::uint8_t coverage(const Glyph& glyph, int bits, std::int32_t x, std::int32_t y) {
    const std::size_t stride = (static_cast<std::size_t>(glyph.width) * bits + 7) / 8;
    const std::uint8_t* line = glyph.pixels.data() + stride * (glyph.height - 1 - y);
    if (bits == 1) return line[x >> 3] >> (7 - (x & 7)) & 1;
    if (bits == 4)
        return static_cast<std::uint8_t>(x & 1 ? line[x >> 1] << 4 : line[x >> 1] & 0xf0);
    return line[x];
}

void put(Image& mask, const Rect& mask_area, const Glyph& glyph, int bits) {
    const std::int64_t left = std::int64_t{glyph.position.x} + glyph.origin.x;
    const std::int64_t top = std::int64_t{glyph.position.y} + glyph.origin.y;
    const Rect part = intersection(box_of(glyph), mask_area);
    for (std::int32_t y = part.top; y < part.bottom; ++y) {
        std::uint8_t* line = mask.line(y - mask_area.top);
        for (std::int32_t x = part.left; x < part.right; ++x) {
            const std::uint8_t value = coverage(glyph, bits, static_cast<std::int32_t>(x - left),
                                                static_cast<std::int32_t>(y - top));
            const std::int32_t at = x - mask_area.left;
            if (bits == 1) {
                line[at >> 3] |= static_cast<std::uint8_t>(value << (at & 7));
            } else {
                line[at] = std::max(line[at], value);
            }
        }
    }
}

Result<> check(const Text& string) {
    const int bits = string.glyph_bits;
    if (bits != 1 && bits != 4 && bits != 8) {
        return fail(ErrorCode::invalid_argument, "glyphs of {} bits: 1, 4 and 8 exist", bits);
    }
    for (const Glyph& glyph : string.glyphs) {
        const std::size_t needed =
            (static_cast<std::size_t>(glyph.width) * bits + 7) / 8 * glyph.height;
        if (glyph.pixels.size() < needed) {
            return fail(ErrorCode::invalid_argument, "a glyph of {}x{} pixels has {} bytes of {}",
                        glyph.width, glyph.height, glyph.pixels.size(), needed);
        }
    }
    return {};
}

// A colour of the brush as pixman takes it; on 16-bit surfaces it is a pixel of 5 bits a component.
std::uint32_t rgb32_of(const Image& target, std::uint32_t color) {
    if (bits_per_pixel(target.format()) != 16) return color;
    const auto wide = [&](int shift) { return ((color >> shift & 0x1f) * 255 + 15) / 31; };
    return wide(10) << 16 | wide(5) << 8 | wide(0);
}

PixmanImage brush_image(const Image& target, const Brush& brush) {
    if (brush.kind == Brush::Kind::solid) return PixmanImage::solid(rgb32_of(target, brush.color));
    PixmanImage image(*brush.tile);
    pixman_transform_t transform;
    const auto fixed = [](std::int32_t value) {
        return pixman_int_to_fixed(std::clamp(value, -kMaxSide, kMaxSide));
    };
    pixman_transform_init_translate(&transform, -fixed(brush.tile_origin.x),
                                    -fixed(brush.tile_origin.y));
    pixman_image_set_transform(image.get(), &transform);
    pixman_image_set_repeat(image.get(), PIXMAN_REPEAT_NORMAL);
    return image;
}

// As in blend.cpp: the unused byte is cleared when the first pixel of the area has it set.
void clear_unused_byte(Image& target, const Rect& area) {
    if (target.format() != Format::xrgb32 || area.empty()) return;
    if (pixels_of<std::uint32_t>(target, area.top)[area.left] >> 24 != 0xff) return;
    for (std::int32_t y = area.top; y < area.bottom; ++y) {
        std::uint32_t* line = pixels_of<std::uint32_t>(target, y);
        for (std::int32_t x = area.left; x < area.right; ++x)
            line[x] &= 0xffffff;
    }
}

}  // namespace

Result<> text(Image& target, const Region& region, const Text& string) {
    TRY(check(string));
    if (region.empty()) return {};
    Region back = region;
    back.intersect(string.back_area);
    if (!back.empty()) fill(target, back, string.back_brush, Rop::copy);

    Rect whole;
    for (const Glyph& glyph : string.glyphs)
        whole = bounding(whole, box_of(glyph));
    const Rect visible = intersection(whole, region.extents());
    const bool paints = string.fore_brush.kind == Brush::Kind::solid ||
                        (string.fore_brush.kind == Brush::Kind::pattern && string.fore_brush.tile);
    if (visible.empty() || !paints) return {};
    Image mask = TRY(Image::create(string.glyph_bits == 1 ? Format::a1 : Format::a8,
                                   visible.width(), visible.height()));
    for (const Glyph& glyph : string.glyphs)
        put(mask, visible, glyph, string.glyph_bits);

    const PixmanImage to(target);
    to.clip(region);
    // Patterns start at the string's corner, as in stock's canvas.
    pixman_image_composite32(PIXMAN_OP_OVER, brush_image(target, string.fore_brush).get(),
                             PixmanImage(mask).get(), to.get(), visible.left - whole.left,
                             visible.top - whole.top, 0, 0, visible.left, visible.top,
                             static_cast<int>(visible.width()), static_cast<int>(visible.height()));
    clear_unused_byte(target, intersection(whole, target.bounds()));
    return {};
}

}  // namespace segue::spice::canvas
