// SPDX-License-Identifier: LGPL-2.1-or-later
// Pictures that guest commands name: bitmaps in guest memory and other surfaces.
#pragma once

#include "base/result.h"
#include "spice/canvas/image.h"
#include "spice/server/display/guest/guest_memory.h"
#include "spice/server/display/guest/surfaces.h"

namespace segue::spice::server {

// The picture at `address`. Direct bitmaps of the usual formats are views of guest memory, whose
// pixels may change while they are read (never their bounds); the others are converted copies.
// Where the image is a surface's, `named` is set to it, and everything on it is drawn.
Result<canvas::Image> read_image(const GuestMemory& memory, const Surfaces& surfaces,
                                 QXLPHYSICAL address, const Surface** named = nullptr);

// A one-bit picture as canvas masks have it.
Result<canvas::Image> read_mask(const GuestMemory& memory, QXLPHYSICAL address);

}  // namespace segue::spice::server
