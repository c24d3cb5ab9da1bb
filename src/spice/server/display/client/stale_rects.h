// SPDX-License-Identifier: LGPL-2.1-or-later
// Which rectangles to send for a stale region: few images are cheaper than exact ones.
#pragma once

#include <vector>

#include "spice/canvas/geometry.h"

namespace segue::spice::server {

// More would cost each drawing more than sending what lies between them.
inline constexpr std::size_t kMostStaleRects = 4096;

// Rectangles that cover the region, top to bottom, none of more than `most_pixels`. QEMU's
// simple display gives a refresh as columns of 32 pixels; here they become one image again.
inline constexpr std::int64_t kMostImagePixels = std::int64_t{1} << 20;
std::vector<canvas::Rect> rects_to_send(const canvas::Region& stale,
                                        std::int64_t most_pixels = kMostImagePixels);

}  // namespace segue::spice::server
