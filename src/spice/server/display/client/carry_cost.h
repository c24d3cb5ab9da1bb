// SPDX-License-Identifier: LGPL-2.1-or-later
// Of a surface off screen, which of the two costs less when its machine moves: to tell the target
// what the client has of it, or to send it anew there when it is next copied from. In bytes.
#pragma once

#include "spice/server/display/client/knowledge.h"
#include "spice/server/display/client/tile_digests.h"

namespace segue::spice::server {

// What the state says of it (extension.schema, state.schema): its size and format, a rectangle for
// each part that is old or inexact, a digest of each tile.
inline double cost_to_carry(const SurfaceKnowledge& has) {
    constexpr double kSurface = 29, kRect = 16, kDigest = 8;
    const auto rects = static_cast<double>(has.stale.rects().size() + has.lossy.rects().size());
    return kSurface + kRect * rects +
           kDigest * static_cast<double>(TileDigests::count(has.width, has.height));
}

// Its end here and its making there; and of the pixels that the client has, as many bytes as such
// went for until now. What it does not have is to be sent in either case.
inline double cost_to_redraw(const SurfaceKnowledge& has, double bytes_per_pixel) {
    constexpr double kAnew = 36, kImage = 60;
    double pixels = double{1} * has.width * has.height;
    for (const canvas::Rect& rect : has.stale.rects())
        pixels -= static_cast<double>(rect.width() * rect.height());
    return kAnew + (pixels > 0 ? kImage + pixels * bytes_per_pixel : 0);
}

}  // namespace segue::spice::server
