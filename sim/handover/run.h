// SPDX-License-Identifier: LGPL-2.1-or-later
// One run of the hand-over's simulation: a machine that moves once, or twice in a row, a client
// that follows it, a network between them, and what goes wrong at a message that the seed picks.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/handover/server.h"

namespace segue::sim::handover {

struct RunResult {
    std::vector<std::string> violations;
    std::string story;  // what the seed chose
    std::uint64_t messages = 0;
    std::uint64_t digest = 0;  // of everything that was said, and when
    // How the client went.
    int seamless = 0, semi_seamless = 0, new_sessions = 0, cancelled = 0;
    int carried = 0, restored_beside = 0, restored_through = 0;
};

// What must hold, whatever is cut, late, cancelled or dead:
//   1. the callbacks of the embedder come exactly once for each call that promised them;
//   2. a client that lives ends at the server where the machine runs, with every channel whole;
//   3. nothing of a client stays where it is not: no session, no parked socket;
//   4. where no line breaks, no process dies, and links take no seconds, no session is begun anew
//      that was there before the move was announced;
//   5. no server gets state that it does not expect, or a flush mark that it did not ask for.
RunResult run_once(std::uint64_t seed, Mistake mistake = Mistake::none, bool verbose = false);

}  // namespace segue::sim::handover
