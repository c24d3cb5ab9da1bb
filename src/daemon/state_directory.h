// SPDX-License-Identifier: LGPL-2.1-or-later
// The directory of what must survive.
#pragma once

#include <string>

#include "base/result.h"

namespace segue {

// Makes PATH and PATH/domains with mode 0711, where they do not exist: others may pass through, to
// reach what a VM of theirs shares; the parts are closed. A directory that is there keeps its mode,
// but others get leave to pass where the daemon is root (QEMU runs as another user). One in which
// others may write, or that belongs to another user, is error denied: its content would be theirs.
// A path of more than 49 characters is refused: a VM's sockets lie below it, and their paths have
// at most 107.
Result<> make_state_directory(const std::string& path);

}  // namespace segue
