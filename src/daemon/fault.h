// SPDX-License-Identifier: LGPL-2.1-or-later
// Named points of a migration at which a test stops this daemon, to kill somebody at exactly that
// moment (HACKING.md, "Fault points"). Without SEGUE_FAULT in the environment a point costs one
// comparison and does nothing.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace segue {

enum class FaultAction { stop, kill };

// SEGUE_FAULT=POINT[:stop|:kill][,POINT…]
struct Fault {
    std::string point;
    FaultAction action = FaultAction::stop;
};
Result<std::vector<Fault>> parse_faults(std::string_view text);

// The words of the name, in order: {"source", "record", "given", "before"} is the point
// source.record.given.before. The first time a planned point is reached, the process sends itself
// SIGSTOP (whoever planned it lets it go on with SIGCONT) or SIGKILL.
void fault_point(std::initializer_list<std::string_view> words);

}  // namespace segue
