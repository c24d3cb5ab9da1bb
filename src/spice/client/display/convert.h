// SPDX-License-Identifier: LGPL-2.1-or-later
// The wire's geometry as the canvas has it.
#pragma once

#include <vector>

#include "spice/canvas/draw.h"
#include "spice/wire/drawing.schema.h"

namespace segue::spice::client {

inline canvas::Point to_canvas(const wire::Point& point) {
    return {point.x, point.y};
}
inline canvas::Rect to_canvas(const wire::Rect& rect) {
    return {rect.left, rect.top, rect.right, rect.bottom};
}
inline std::vector<canvas::Rect> to_canvas(const std::vector<wire::Rect>& rects) {
    std::vector<canvas::Rect> result;
    result.reserve(rects.size());
    for (const wire::Rect& rect : rects)
        result.push_back(to_canvas(rect));
    return result;
}
inline canvas::ScaleMode to_canvas(wire::display::ImageScaleMode mode) {
    return mode == wire::display::ImageScaleMode::interpolate ? canvas::ScaleMode::interpolate
                                                              : canvas::ScaleMode::nearest;
}

}  // namespace segue::spice::client
