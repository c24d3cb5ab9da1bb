// SPDX-License-Identifier: LGPL-2.1-or-later
// One run of the simulation: a cluster, some migrations, some faults, and the invariants.
#pragma once

#include <string>
#include <vector>

#include "sim/client.h"
#include "sim/scenario.h"

namespace segue::sim {

struct RunOptions {
    std::uint64_t seed = 1;
    const Scenario* scenario = nullptr;  // null: any
    Mistake mistake = Mistake::none;
    bool verbose = false;
};

struct RunResult {
    std::string_view scenario;
    std::vector<std::string> violations;
    std::uint64_t digest = 0;
    int migrations = 0;
    int succeeded = 0;
    int unresolved = 0;  // needed `segue resolve`
};

// What must hold, whatever happens:
//   1. never two running copies of a guest, and none from a state older than one that ran;
//   2. never none without a recorded way on (QEMUs that died excepted);
//   3. every job and every client's call ends;
//   4. no QEMU, machine, job or record is left behind (promises that a fault, or a network slower
//      than the peer link's bound, kept from being released excepted).
RunResult run_once(const RunOptions& options);

}  // namespace segue::sim
