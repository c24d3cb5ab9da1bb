// SPDX-License-Identifier: LGPL-2.1-or-later
// For the .cpp files of this room only: sources that must be converted or scaled first.
#pragma once

#include "spice/canvas/draw.h"
#include "spice/canvas/pixman_image.h"

namespace segue::spice::canvas {

inline bool same_size(const Rect& a, const Rect& b) {
    return a.width() == b.width() && a.height() == b.height();
}

// Sets filter and transform so that the area fills the box; false when the area or the box is empty
// or the ratio does not fit pixman's 16.16.
bool set_scaling(const PixmanImage& image, const Rect& area, const Rect& box, ScaleMode scale);

// The part of the scaled source that falls on `extents` (target coordinates, within the box), in
// the source's format. Errors: invalid_argument for a ratio that cannot be scaled.
Result<Image> scaled_part(const Source& source, const Rect& box, const Rect& extents);

// The same as DRAW_ROP3 has it: stock rounds the area's corner to a whole pixel of the box there.
Result<Image> scaled_from_rounded_corner(const Source& source, const Rect& box,
                                         const Rect& extents);

// Holds a source in a pixel size that fits the target: the picture itself or a conversion of it.
// Pixels of the target itself are copied first, so that reading does not see writing.
class FittingSource {
  public:
    static Result<FittingSource> make(const Image& target, const Image& source);
    const Image& image() const { return own_.empty() ? *given_ : own_; }

  private:
    const Image* given_ = nullptr;
    Image own_;
};

}  // namespace segue::spice::canvas
