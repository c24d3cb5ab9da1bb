// SPDX-License-Identifier: LGPL-2.1-or-later
// What /proc says of a QEMU process: processor time and memory.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

namespace segue {

struct ProcessFacts {
    std::uint64_t user_ns = 0;
    std::uint64_t system_ns = 0;
    std::uint64_t resident_kib = 0;
};

// Zeroes for a process that is gone.
ProcessFacts facts_of(pid_t process);
// Of one thread.
std::uint64_t cpu_time_ns_of(pid_t process, pid_t thread);
// Its last processor; -1 when it is gone.
int processor_of(pid_t process, pid_t thread);
// Clock ticks from boot to the start of the process (0 when it is gone): with the pid it
// names one process for ever.
std::uint64_t start_ticks_of(pid_t process);

}  // namespace segue
