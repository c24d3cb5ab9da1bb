// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <cstring>

#include "spice/canvas/draw.h"
#include "spice/canvas/pixels.h"

namespace segue::spice::canvas {
namespace {

template <class Pixel>
void fill_solid(Image& target, const Rect& rect, Pixel color, Rop rop) {
    if (rop == Rop::copy) {
        // A line is copied in far fewer steps than it is filled.
        Pixel* const first = pixels_of<Pixel>(target, rect.top) + rect.left;
        std::fill_n(first, rect.width(), color);
        for (std::int32_t y = rect.top + 1; y < rect.bottom; ++y) {
            std::memcpy(pixels_of<Pixel>(target, y) + rect.left, first,
                        static_cast<std::size_t>(rect.width()) * sizeof(Pixel));
        }
        return;
    }
    with_rop(rop, [&](auto function) {
        for (std::int32_t y = rect.top; y < rect.bottom; ++y) {
            Pixel* line = pixels_of<Pixel>(target, y);
            for (std::int32_t x = rect.left; x < rect.right; ++x)
                line[x] = function.template apply<Pixel>(color, line[x]);
        }
    });
}

template <class Pixel>
void fill_tiled(Image& target, const Rect& rect, const Brush& brush, Rop rop) {
    const Image& tile = *brush.tile;
    with_rop(rop, [&](auto function) {
        for (std::int32_t y = rect.top; y < rect.bottom; ++y) {
            const std::int64_t down = std::int64_t{y} - brush.tile_origin.y;
            const Pixel* from = pixels_of<Pixel>(tile, tile_offset(down, tile.height()));
            Pixel* line = pixels_of<Pixel>(target, y);
            std::int32_t tile_x =
                tile_offset(std::int64_t{rect.left} - brush.tile_origin.x, tile.width());
            for (std::int32_t x = rect.left; x < rect.right; ++x) {
                line[x] = function.template apply<Pixel>(from[tile_x], line[x]);
                if (++tile_x == tile.width()) tile_x = 0;
            }
        }
    });
}

}  // namespace

void fill(Image& target, const Region& region, const Brush& brush, Rop rop) {
    const bool tiled = brush.kind == Brush::Kind::pattern;
    if (tiled && (brush.tile == nullptr || !same_pixel_size(target, *brush.tile))) return;
    // Without a brush the operation may still invert or clear.
    const std::uint32_t color = brush.kind == Brush::Kind::solid ? brush.color : 0;
    with_pixel_type(target.format(), [&](auto zero) {
        using Pixel = decltype(zero);
        for (const Rect& rect : region.rects()) {
            if (tiled) {
                fill_tiled<Pixel>(target, rect, brush, rop);
            } else {
                fill_solid<Pixel>(target, rect, static_cast<Pixel>(color), rop);
            }
        }
    });
}

}  // namespace segue::spice::canvas
