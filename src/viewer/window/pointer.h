// SPDX-License-Identifier: LGPL-2.1-or-later
// The guest's pointer as a picture that can be shown.
#pragma once

#include "spice/client/cursor_channel.h"

namespace segue::viewer {

// argb32, premultiplied, of the shape's own size. Pixels that invert what is under them cannot be
// had from a desktop: they are black with a white edge, which is seen on everything. Errors: as
// Image::create. The shape has an image.
Result<spice::canvas::Image> pointer_picture(const spice::client::CursorShape& shape);

// Alpha apart from the colours, as renderers blend it.
std::uint32_t unmultiplied(std::uint32_t argb);

}  // namespace segue::viewer
