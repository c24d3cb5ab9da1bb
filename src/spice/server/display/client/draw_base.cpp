// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/client/draw_base.h"

namespace segue::spice::server {

namespace display = wire::display;

wire::Rect wire_rect(const canvas::Rect& rect) {
    wire::Rect made;
    made.top = rect.top;
    made.left = rect.left;
    made.bottom = rect.bottom;
    made.right = rect.right;
    return made;
}

display::DrawBase base_of(std::uint32_t surface, const canvas::Rect& box) {
    display::DrawBase base;
    base.surface_id = surface;
    base.box = wire_rect(box);
    base.clip.type = display::ClipType::none;
    return base;
}

display::DrawBase base_of(std::uint32_t surface, const canvas::Rect& box,
                          const canvas::Region& region) {
    display::DrawBase base = base_of(surface, box);
    if (region.covers(box)) return base;
    base.clip.type = display::ClipType::rects;
    for (const canvas::Rect& rect : region.rects())
        base.clip.rects.push_back(wire_rect(rect));
    return base;
}

}  // namespace segue::spice::server
