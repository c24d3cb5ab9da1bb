// SPDX-License-Identifier: LGPL-2.1-or-later
// A program of ours beside a VM (segue-agent, segue-standby): started with the VM's own rights in a
// directory of its own, found again after a restart of the daemon, and ended by its identity.
#pragma once

#include "daemon/services.h"
#include "qemu/process.h"

namespace segue {

struct HelperStart {
    std::string program;  // "segue-agent"
    std::string directory;
    std::vector<std::string> arguments;
    std::vector<InheritedFile> inherited = {};
    std::vector<std::pair<std::string, std::string>> environment = {};
};

// Leaves DIRECTORY.pid and DIRECTORY/log.
Result<std::unique_ptr<QemuProcess>> start_helper(const Services& services,
                                                  const HelperStart& start);
Result<std::unique_ptr<QemuProcess>> adopt_helper(const Services& services,
                                                  const std::string& directory);

// What killed standbys of this host have left in shared memory.
void sweep_memory_of_standbys(const Services& services);

}  // namespace segue
