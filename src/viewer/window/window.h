// SPDX-License-Identifier: LGPL-2.1-or-later
// The viewer's window: the first display's picture, scaled to fit, with keyboard and mouse. The
// title says where the machine is and when it moves.
#pragma once

#include "base/loop.h"
#include "viewer/options.h"

namespace segue::viewer {

// Runs until the session is over or the window is closed. Returns the exit code, as run_headless.
int run_window(RunLoop& loop, const Options& options);

}  // namespace segue::viewer
