// SPDX-License-Identifier: LGPL-2.1-or-later
// Where a command may draw: box, clip and mask.
#include <algorithm>
#include <vector>

#include "spice/canvas/draw.h"

namespace segue::spice::canvas {
namespace {

bool bit_of(const Image& mask, std::int64_t x, std::int64_t y) {
    return mask.line(static_cast<std::int32_t>(y))[x >> 3] >> (x & 7) & 1;
}

// The pixels of `area` (in target coordinates) that the mask lets through. Pixels outside of the
// mask's picture are never drawn.
Region mask_region(const Mask& mask, const Rect& box, const Rect& area) {
    const std::int64_t shift_x = std::int64_t{mask.origin.x} - box.left;
    const std::int64_t shift_y = std::int64_t{mask.origin.y} - box.top;
    std::vector<Rect> runs;
    for (std::int32_t y = area.top; y < area.bottom; ++y) {
        const std::int64_t mask_y = y + shift_y;
        if (mask_y < 0 || mask_y >= mask.bitmap->height()) continue;
        std::int32_t start = area.right;
        for (std::int32_t x = area.left; x <= area.right; ++x) {
            const std::int64_t mask_x = x + shift_x;
            const bool drawn = x < area.right && mask_x >= 0 && mask_x < mask.bitmap->width() &&
                               bit_of(*mask.bitmap, mask_x, mask_y) != mask.inverted;
            if (drawn && start == area.right) start = x;
            if (!drawn && start < x) {
                runs.push_back({start, y, x, y + 1});
                start = area.right;
            }
        }
    }
    return Region(runs);
}

}  // namespace

Region draw_region(const Image& target, const Rect& box, const std::span<const Rect>* clip,
                   const Mask& mask) {
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
    if (mask.bitmap != nullptr && mask.bitmap->format() == Format::a1 && !region.empty()) {
        region.intersect(mask_region(mask, box, region.extents()));
    }
    return region;
}

}  // namespace segue::spice::canvas
