// SPDX-License-Identifier: LGPL-2.1-or-later
// Executes the drawing commands of a guest on its surfaces.
#pragma once

#include "base/result.h"
#include "spice/canvas/geometry.h"
#include "spice/server/display/guest/guest_memory.h"
#include "spice/server/display/guest/surfaces.h"

namespace segue::spice::server {

// What a command did, as far as a client could repeat it on its own copy of the surface.
struct Drawing {
    enum class Kind : std::uint8_t {
        nothing,  // it lies outside the surface or its clip
        pixels,   // new pixels: only the surface has them
        fill,     // one colour everywhere in the region
        move,     // the surface's own pixels, from elsewhere on it
        image,    // a picture that the guest says it will draw again
        surface,  // the pixels of another surface
    };
    Kind kind = Kind::nothing;
    Surface* surface = nullptr;
    canvas::Region region;
    std::uint32_t color = 0;     // fill: the surface's own pixel value
    canvas::Rect box;            // move, image, surface: where the pixels went before clipping
    canvas::Point from;          // move: what came to the corner of the box
    std::uint64_t image_id = 0;  // image: as the guest names it
    canvas::Image picture;       // image: may be a view of guest memory
    std::uint32_t source = 0;    // surface: the other one
    canvas::Rect source_area;    // image, surface: what was copied of it, as large as the box
    // Not drawn yet, for nobody may ever look: to be added to what is pending on the surface, with
    // the command that is to be released. It holds what `picture` views.
    std::optional<PendingDrawing> pending;
};

// `address` names a QXLDrawable. An error leaves the surface as it was, or partly drawn when it
// comes in the middle of an operation of several steps. What is drawn at once is drawn over all
// that is pending.
Result<Drawing> draw(const GuestMemory& memory, Surfaces& surfaces, QXLPHYSICAL address);

}  // namespace segue::spice::server
