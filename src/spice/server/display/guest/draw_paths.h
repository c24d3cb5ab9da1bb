// SPDX-License-Identifier: LGPL-2.1-or-later
// Strokes and glyph runs in guest memory.
#pragma once

#include "base/result.h"
#include "spice/canvas/draw.h"
#include "spice/server/display/guest/guest_memory.h"

namespace segue::spice::server {

// The path and the dashes of a stroke; brush and raster operation are the caller's.
Result<canvas::Stroke> read_stroke(const GuestMemory& memory, const QXLStroke& guest);

// A glyph run, whose glyphs point into the bytes that this object owns.
struct GuestString {
    Bytes bytes;
    std::uint16_t length = 0;
    int glyph_bits = 1;

    // The string must outlive what this returns.
    Result<canvas::Text> text() const;
};
Result<GuestString> read_string(const GuestMemory& memory, QXLPHYSICAL address);

}  // namespace segue::spice::server
