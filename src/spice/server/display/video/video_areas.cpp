// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/video/video_areas.h"

#include <algorithm>

namespace segue::spice::server {
namespace {

// More places than that are not drawn anew at this pace.
constexpr std::size_t kMostTraces = 16;

std::int64_t size_of(const canvas::Rect& rect) {
    return rect.empty() ? 0 : rect.width() * rect.height();
}

// QEMU's simple display tells only what differs: the rectangles of a video vary at their edges.
bool is_same_place(const canvas::Rect& one, const canvas::Rect& other) {
    const std::int64_t common = size_of(canvas::intersection(one, other));
    return common * 4 >= size_of(one) * 3 || common * 4 >= size_of(other) * 3;
}

}  // namespace

VideoAreas::Trace& VideoAreas::follow(std::uint32_t surface, const canvas::Rect& rect,
                                      Instant now) {
    std::erase_if(traces_, [&](const Trace& trace) { return now - trace.last > kLongestGap; });
    for (Trace& trace : traces_) {
        if (trace.surface != surface || !is_same_place(trace.area, rect)) continue;
        const canvas::Rect grown = canvas::bounding(trace.area, rect);
        // One that grows on and on is a picture being built up.
        if (size_of(grown) > 2 * size_of(trace.first)) continue;
        trace.area = grown;
        trace.last = now;
        return trace;
    }
    if (traces_.size() >= kMostTraces) {
        traces_.erase(
            std::min_element(traces_.begin(), traces_.end(),
                             [](const Trace& a, const Trace& b) { return a.last < b.last; }));
    }
    traces_.push_back({surface, rect, rect, now, 0, 0});
    return traces_.back();
}

void VideoAreas::forget(std::uint32_t surface) {
    std::erase_if(traces_, [&](const Trace& trace) { return trace.surface == surface; });
}

void VideoAreas::forget(std::uint32_t surface, const canvas::Rect& area) {
    std::erase_if(traces_, [&](const Trace& trace) {
        return trace.surface == surface && !canvas::intersection(trace.area, area).empty();
    });
}

}  // namespace segue::spice::server
