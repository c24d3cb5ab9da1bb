// SPDX-License-Identifier: LGPL-2.1-or-later
// The environment variables of remote-viewer and spice-gtk that mean something here, and our own.
#pragma once

#include "viewer/options.h"

namespace segue::viewer {

// Errors: invalid_argument names the variable whose value is none.
Result<> apply_environment(Options& options);

}  // namespace segue::viewer
