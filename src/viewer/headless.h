// SPDX-License-Identifier: LGPL-2.1-or-later
// The viewer without a window: it reports what a user would see as event lines and pictures.
#pragma once

#include "base/loop.h"
#include "viewer/options.h"

namespace segue::viewer {

// Runs until the session is over, the time is up, or SIGINT/SIGTERM. Returns the exit code: 0 for a
// session that was once connected and was not lost, 1 otherwise.
int run_headless(RunLoop& loop, const Options& options);

}  // namespace segue::viewer
