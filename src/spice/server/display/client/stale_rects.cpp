// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/client/stale_rects.h"

#include <algorithm>

namespace segue::spice::server {
namespace {

// What an image costs beside its pixels (message, headers, a cold dictionary), counted in pixels.
constexpr std::int64_t kImageCost = 512;

std::int64_t area(const canvas::Rect& rect) {
    return rect.width() * rect.height();
}

// One rectangle for both is cheaper than two.
bool worth_joining(const canvas::Rect& one, const canvas::Rect& other) {
    return area(canvas::bounding(one, other)) <= area(one) + area(other) + kImageCost;
}

void append_in_strips(const canvas::Rect& rect, std::int64_t most_pixels,
                      std::vector<canvas::Rect>& out) {
    const auto lines =
        static_cast<std::int32_t>(std::max<std::int64_t>(1, most_pixels / rect.width()));
    for (std::int32_t top = rect.top; top < rect.bottom; top += lines) {
        out.push_back({rect.left, top, rect.right, std::min(rect.bottom, top + lines)});
        if (rect.bottom - top <= lines) break;
    }
}

}  // namespace

std::vector<canvas::Rect> rects_to_send(const canvas::Region& stale, std::int64_t most_pixels) {
    std::vector<canvas::Rect> joined;
    for (const canvas::Rect& rect : stale.rects()) {
        // Bands come top to bottom: only the latest few can be neighbours.
        canvas::Rect grown = rect;
        constexpr std::size_t kLookBack = 8;
        for (std::size_t back = 0; back < kLookBack && back < joined.size();) {
            canvas::Rect& earlier = joined[joined.size() - 1 - back];
            if (!worth_joining(earlier, grown)) {
                ++back;
                continue;
            }
            grown = canvas::bounding(earlier, grown);
            joined.erase(joined.end() - 1 - static_cast<std::ptrdiff_t>(back));
            back = 0;
        }
        joined.push_back(grown);
    }
    std::vector<canvas::Rect> out;
    for (const canvas::Rect& rect : joined)
        append_in_strips(rect, most_pixels, out);
    return out;
}

}  // namespace segue::spice::server
