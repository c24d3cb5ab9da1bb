// SPDX-License-Identifier: LGPL-2.1-or-later
// Where a command may draw: box, clip and mask.
#include <algorithm>
#include <cstring>
#include <optional>
#include <vector>

#include "spice/canvas/draw.h"
#include "spice/canvas/pixels.h"

namespace segue::spice::canvas {
namespace {

// Runs of pixels, line by line: a mask of more of them costs a region of too many rectangles.
constexpr std::size_t kMostMaskRuns = std::size_t{1} << 14;

bool bit_of(const Image& image, std::int64_t x, std::int64_t y) {
    return image.line(static_cast<std::int32_t>(y))[x >> 3] >> (x & 7) & 1;
}

void set_bit(Image& image, std::int32_t x, std::int32_t y, bool value) {
    std::uint8_t& byte = image.line(y)[x >> 3];
    const auto bit = static_cast<std::uint8_t>(1u << (x & 7));
    byte = static_cast<std::uint8_t>(value ? byte | bit : byte & ~bit);
}

// The mask, as the pixels of the target see it: those outside of its picture are never drawn.
class PlacedMask {
  public:
    PlacedMask(const Mask& mask, const Rect& box)
        : mask_(mask),
          shift_x_(std::int64_t{mask.origin.x} - box.left),
          shift_y_(std::int64_t{mask.origin.y} - box.top) {}

    Rect bounds() const {
        return {coordinate(-shift_x_), coordinate(-shift_y_),
                coordinate(mask_.bitmap->width() - shift_x_),
                coordinate(mask_.bitmap->height() - shift_y_)};
    }
    // The pixel lies within bounds().
    bool passes(std::int32_t x, std::int32_t y) const {
        return bit_of(*mask_.bitmap, x + shift_x_, y + shift_y_) != mask_.inverted;
    }

  private:
    const Mask& mask_;
    const std::int64_t shift_x_;
    const std::int64_t shift_y_;
};

// The pixels of `area`, inside the mask's bounds, that it lets through. Nothing: they are too many
// rectangles.
std::optional<Region> mask_region(const PlacedMask& mask, const Rect& area) {
    std::vector<Rect> runs;
    for (std::int32_t y = area.top; y < area.bottom; ++y) {
        std::int32_t start = area.right;
        for (std::int32_t x = area.left; x <= area.right; ++x) {
            const bool drawn = x < area.right && mask.passes(x, y);
            if (drawn && start == area.right) start = x;
            if (!drawn && start < x) {
                if (runs.size() == kMostMaskRuns) return std::nullopt;
                runs.push_back({start, y, x, y + 1});
                start = area.right;
            }
        }
    }
    return Region(runs);
}

}  // namespace

Region draw_region(const Image& target, const Rect& box, const std::span<const Rect>* clip) {
    const Rect inside = intersection(box, target.bounds());
    if (inside.empty()) return {};
    Region region(inside);
    if (clip != nullptr) {
        std::vector<Rect> cut;
        cut.reserve(clip->size());
        for (const Rect& rect : *clip)
            cut.push_back(intersection(rect, inside));
        region.intersect(Region(cut));
    }
    return region;
}

DrawArea draw_area(const Image& target, const Rect& box, const std::span<const Rect>* clip,
                   const Mask& mask) {
    DrawArea area{draw_region(target, box, clip)};
    if (mask.bitmap == nullptr || mask.bitmap->format() != Format::a1) return area;
    const PlacedMask placed(mask, box);
    area.region.intersect(placed.bounds());
    if (area.region.empty()) return area;
    if (const auto passed = mask_region(placed, area.region.extents())) {
        area.region.intersect(*passed);
    } else {
        area.needs_stencil = true;
    }
    return area;
}

// Whole lines, so that pixels of every size keep their column.
Result<Stencil> Stencil::make(const Image& target, const Region& region) {
    Stencil made;
    made.region_ = region;
    const Rect area = region.extents();
    made.top_ = area.top;
    made.below_ = TRY(Image::create(target.format(), target.width(), area.height()));
    for (std::int32_t y = area.top; y < area.bottom; ++y)
        std::memcpy(made.below_.line(y - area.top), target.line(y), target.line_bytes());
    return made;
}

void Stencil::put_back(Image& target, const Rect& box, const Mask& mask) const {
    const PlacedMask placed(mask, box);
    const auto hidden = [&](const auto& put_one) {
        for (const Rect& rect : region_.rects()) {
            for (std::int32_t y = rect.top; y < rect.bottom; ++y) {
                for (std::int32_t x = rect.left; x < rect.right; ++x) {
                    if (!placed.passes(x, y)) put_one(x, y);
                }
            }
        }
    };
    if (target.format() == Format::a1) {
        hidden([&](std::int32_t x, std::int32_t y) {
            set_bit(target, x, y, bit_of(below_, x, y - top_));
        });
        return;
    }
    with_pixel_type(target.format(), [&](auto pixel) {
        using Pixel = decltype(pixel);
        hidden([&](std::int32_t x, std::int32_t y) {
            pixels_of<Pixel>(target, y)[x] = pixels_of<Pixel>(below_, y - top_)[x];
        });
    });
}

}  // namespace segue::spice::canvas
