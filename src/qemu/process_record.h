// SPDX-License-Identifier: LGPL-2.1-or-later
// Which process works in a directory that was given away to QEMU's user. The answer decides what a
// daemon with all rights adopts and kills: it is written where QEMU cannot write.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "qemu/process.h"

namespace segue {

// DIRECTORY.pid, in a folder of the daemon's own.
std::string pid_file_beside(const std::string& directory);

// What that file names; the process may be gone by now. A release before kept DIRECTORY/pid, which
// QEMU may have changed: where there is nothing beside, that one is believed if it names a process
// of this directory (identify_in), and is written down beside.
Result<ProcessIdentity> process_of(const std::string& directory);

// The process with this pid, if it runs as the owner of this directory, and stands in it or bears
// its name on its command line. Nothing otherwise: a pid that QEMU, or a helper with QEMU's rights,
// has told could be anybody's.
std::optional<ProcessIdentity> identify_in(std::int64_t pid, const std::string& directory);

void forget_process(const std::string& directory);

// SIGKILL to this process and no other. False: it is gone.
bool kill_process(const ProcessIdentity& identity);

}  // namespace segue
