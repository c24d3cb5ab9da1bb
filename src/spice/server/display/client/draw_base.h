// SPDX-License-Identifier: LGPL-2.1-or-later
// Where a drawing message draws.
#pragma once

#include "spice/canvas/geometry.h"
#include "spice/wire/display.schema.h"

namespace segue::spice::server {

namespace wire = segue::spice::wire;

// A region of more rectangles is sent as the images that cover it, not as a clipped operation.
inline constexpr std::size_t kMostClipRects = 64;

wire::Rect wire_rect(const canvas::Rect& rect);
wire::display::DrawBase base_of(std::uint32_t surface, const canvas::Rect& box);
// The box and, where it is not all of it, the region as a clip.
wire::display::DrawBase base_of(std::uint32_t surface, const canvas::Rect& box,
                                const canvas::Region& region);

}  // namespace segue::spice::server
