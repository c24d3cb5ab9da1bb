// SPDX-License-Identifier: LGPL-2.1-or-later
// `segue doctor`: names each thing that is missing on this host, and its remedy. It needs no
// daemon.
#pragma once

#include <string>
#include <vector>

#include "cli/exit_code.h"
#include "cli/invocation.h"

namespace segue::cli {

struct Finding {
    enum class Grade { good, note, bad };
    Grade grade = Grade::good;
    std::string what;    // the thing that was looked at
    std::string found;   // what is there
    std::string remedy;  // empty when nothing is to be done
};

// Looks at QEMU, its SPICE modules and tools, acceleration, our SPICE library, shared memory, group
// and user, the host's name and address, the configuration, and the daemon's socket (the path in
// `uri`). Each look is bounded by 5 s.
std::vector<Finding> examine_host(const std::string& uri);

// refused when something is bad.
ExitCode doctor(const Invocation& invocation);

}  // namespace segue::cli
