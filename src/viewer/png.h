// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

#include "spice/canvas/image.h"

namespace segue::viewer {

// Writes the picture as 8-bit RGB. The file appears under its name when it is complete.
// Errors: system.
Result<> write_png(const spice::canvas::Image& image, const std::string& file);

}  // namespace segue::viewer
