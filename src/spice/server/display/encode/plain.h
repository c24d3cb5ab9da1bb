// SPDX-License-Identifier: LGPL-2.1-or-later
// Finds what is of one colour: a fill says it in a few bytes.
#pragma once

#include <cstdint>
#include <optional>

#include "spice/canvas/image.h"

namespace segue::spice::server {

// The pixel value of the rectangle, where all its pixels have the same. It lies within the picture.
// Formats with an alpha channel have none: a fill would not say what becomes of it.
std::optional<std::uint32_t> plain_color(const canvas::Image& picture, const canvas::Rect& rect);

}  // namespace segue::spice::server
