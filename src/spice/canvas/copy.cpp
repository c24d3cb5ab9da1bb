// SPDX-License-Identifier: LGPL-2.1-or-later
// Copies of pictures: plain, with a raster operation, scaled, with a colour left out, and the
// target's own pixels moved.
#include <algorithm>
#include <cstring>

#include "spice/canvas/draw.h"
#include "spice/canvas/pixels.h"
#include "spice/canvas/scale.h"

namespace segue::spice::canvas {
namespace {

// Offsets from target to source coordinates: source = target - offset.
struct Offset {
    std::int64_t x;
    std::int64_t y;
};

// The part of a target rectangle whose source pixels exist.
Rect readable(const Rect& rect, const Image& source, Offset offset) {
    const Rect there{coordinate(offset.x), coordinate(offset.y),
                     coordinate(offset.x + source.width()), coordinate(offset.y + source.height())};
    return intersection(rect, there);
}

template <class Action>
void for_lines(const Region& region, const Image& source, Offset offset, const Action& action) {
    for (const Rect& rect : region.rects()) {
        const Rect part = readable(rect, source, offset);
        if (part.empty()) continue;
        for (std::int32_t y = part.top; y < part.bottom; ++y)
            action(part, y, static_cast<std::int32_t>(y - offset.y));
    }
}

void blit(Image& target, const Region& region, const Image& source, Offset offset, Rop rop) {
    if (rop == Rop::noop) return;
    with_pixel_type(target.format(), [&](auto zero) {
        using Pixel = decltype(zero);
        if (rop == Rop::copy) {
            for_lines(region, source, offset, [&](const Rect& part, std::int32_t y, auto from_y) {
                // A guest may name pixels of the surface as a picture's own.
                std::memmove(pixels_of<Pixel>(target, y) + part.left,
                             pixels_of<Pixel>(source, from_y) + (part.left - offset.x),
                             static_cast<std::size_t>(part.width()) * sizeof(Pixel));
            });
            return;
        }
        with_rop(rop, [&](auto function) {
            for_lines(region, source, offset, [&](const Rect& part, std::int32_t y, auto from_y) {
                Pixel* to = pixels_of<Pixel>(target, y) + part.left;
                const Pixel* from = pixels_of<Pixel>(source, from_y) + (part.left - offset.x);
                for (std::int64_t x = 0; x < part.width(); ++x)
                    to[x] = function.template apply<Pixel>(from[x], to[x]);
            });
        });
    });
}

std::uint32_t color_in(Format format, std::uint32_t color) {
    const std::uint32_t red = color >> 16 & 0xff, green = color >> 8 & 0xff, blue = color & 0xff;
    if (format == Format::rgb555) return red >> 3 << 10 | green >> 3 << 5 | blue >> 3;
    if (format == Format::rgb565) return red >> 3 << 11 | green >> 2 << 5 | blue >> 3;
    if (format == Format::a8) return 0;
    return color & 0xffffff;
}

void blit_but_color(Image& target, const Region& region, const Image& source, Offset offset,
                    std::uint32_t color) {
    with_pixel_type(target.format(), [&](auto zero) {
        using Pixel = decltype(zero);
        // The highest byte of 32 bits is no colour.
        constexpr auto kColorBits = static_cast<Pixel>(0xffffff);
        for_lines(region, source, offset, [&](const Rect& part, std::int32_t y, auto from_y) {
            Pixel* to = pixels_of<Pixel>(target, y) + part.left;
            const Pixel* from = pixels_of<Pixel>(source, from_y) + (part.left - offset.x);
            for (std::int64_t x = 0; x < part.width(); ++x) {
                if ((from[x] & kColorBits) != static_cast<Pixel>(color)) to[x] = from[x];
            }
        });
    });
}

// Calls `action(picture, offset)` with pixels of the target's size and of the box's size.
template <class Action>
Result<> with_fitting(const Image& target, const Region& region, const Rect& box,
                      const Source& source, const Action& action) {
    if (region.empty()) return {};
    const FittingSource fitting = TRY(FittingSource::make(target, *source.image));
    if (same_size(source.area, box)) {
        action(fitting.image(), Offset{std::int64_t{box.left} - source.area.left,
                                       std::int64_t{box.top} - source.area.top});
        return {};
    }
    const Rect extents = region.extents();
    const Image scaled =
        TRY(scaled_part({&fitting.image(), source.area, source.scale}, box, extents));
    action(scaled, Offset{extents.left, extents.top});
    return {};
}

void scale_onto(Image& target, const Region& region, const Rect& box, const Source& source) {
    const PixmanImage to(target);
    to.clip(region);
    const Rect extents = region.extents();
    const PixmanImage from(*source.image);
    if (!set_scaling(from, source.area, box, source.scale)) return;
    pixman_image_composite32(PIXMAN_OP_SRC, from.get(), nullptr, to.get(),
                             coordinate(std::int64_t{extents.left} - box.left),
                             coordinate(std::int64_t{extents.top} - box.top), 0, 0, extents.left,
                             extents.top, static_cast<int>(extents.width()),
                             static_cast<int>(extents.height()));
}

// Calls the action with each rectangle of a region, which are in bands; the last band, or the last
// of each band, first. Takes no memory.
template <class Action>
void in_order(std::span<const Rect> rects, bool last_band_first, bool last_of_band_first,
              const Action& action) {
    while (!rects.empty()) {
        const std::int32_t top = last_band_first ? rects.back().top : rects.front().top;
        const auto is_other = [top](const Rect& rect) { return rect.top != top; };
        std::span<const Rect> band;
        if (last_band_first) {
            const auto before = std::find_if(rects.rbegin(), rects.rend(), is_other);
            band = rects.last(static_cast<std::size_t>(before - rects.rbegin()));
            rects = rects.first(rects.size() - band.size());
        } else {
            const auto behind = std::find_if(rects.begin(), rects.end(), is_other);
            band = rects.first(static_cast<std::size_t>(behind - rects.begin()));
            rects = rects.subspan(band.size());
        }
        for (std::size_t at = 0; at < band.size(); ++at)
            action(last_of_band_first ? band[band.size() - 1 - at] : band[at]);
    }
}

}  // namespace

Result<> copy(Image& target, const Region& region, const Rect& box, const Source& source, Rop rop) {
    if (region.empty() || rop == Rop::noop) return {};
    if (rop == Rop::copy && !same_size(source.area, box)) {
        const FittingSource fitting = TRY(FittingSource::make(target, *source.image));
        scale_onto(target, region, box, {&fitting.image(), source.area, source.scale});
        return {};
    }
    return with_fitting(target, region, box, source, [&](const Image& image, Offset offset) {
        blit(target, region, image, offset, rop);
    });
}

Result<> opaque(Image& target, const Region& region, const Rect& box, const Source& source,
                const Brush& brush, Rop rop) {
    if (region.empty() || rop == Rop::noop) return {};
    TRY(copy(target, region, box, source, Rop::copy));
    fill(target, region, brush, rop);
    return {};
}

Result<> transparent(Image& target, const Region& region, const Rect& box, const Source& source,
                     std::uint32_t color) {
    const Source nearest{source.image, source.area, ScaleMode::nearest};
    return with_fitting(target, region, box, nearest, [&](const Image& image, Offset offset) {
        blit_but_color(target, region, image, offset, color_in(target.format(), color));
    });
}

void copy_bits(Image& target, const Region& region, const Rect& box, Point from) {
    const Offset offset{std::int64_t{box.left} - from.x, std::int64_t{box.top} - from.y};
    if (offset.x == 0 && offset.y == 0) return;
    const std::size_t pixel_bytes = static_cast<std::size_t>(bits_per_pixel(target.format())) / 8;
    // The rectangles of a region are sorted by bands; bands and lines go against the movement, and
    // so do rectangles of one band: no pixel is read after it was written.
    const bool up = offset.y > 0, left = offset.x > 0;
    in_order(region.rects(), up, left, [&](const Rect& rect) {
        const Rect part = readable(rect, target, offset);
        if (part.empty()) return;
        for (std::int32_t row = 0; row < part.height(); ++row) {
            const std::int32_t y = up ? part.bottom - 1 - row : part.top + row;
            std::memmove(target.line(y) + part.left * pixel_bytes,
                         target.line(static_cast<std::int32_t>(y - offset.y)) +
                             static_cast<std::size_t>(part.left - offset.x) * pixel_bytes,
                         static_cast<std::size_t>(part.width()) * pixel_bytes);
        }
    });
}

}  // namespace segue::spice::canvas
