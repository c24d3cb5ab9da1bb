// SPDX-License-Identifier: LGPL-2.1-or-later
// Which SPICE server library QEMU loads: ours lies in a directory of its own, never in the system's
// path, and QEMU finds it through LD_LIBRARY_PATH.
#pragma once

#include <string>

#include "daemon/settings.h"

namespace segue {

// The directory that QEMU is to search first; empty: QEMU loads the stock library. Where ours is
// wanted and not found, one log line says so, once.
std::string spice_library_directory(SpiceLibrary wanted);

}  // namespace segue
