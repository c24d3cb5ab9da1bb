// SPDX-License-Identifier: LGPL-2.1-or-later
// What a run state of QEMU means for the protection of its guest. QEMU's own checkpoints know
// nothing of it: vm_stop_force_state(RUN_STATE_COLO) aborts where there is no way from that state,
// and vm_start() behind it lets every other guest run, whoever has stopped it. A test proves that
// each state of QEMU's has exactly one row; docs/colo.md shows them.
#pragma once

#include <span>
#include <string_view>

#include "base/json.h"

namespace segue::run_state {

enum class Course {
    goes_on,          // protected
    pauses,           // protected, in a checkpoint that is not ended
    wakes,            // QEMU is told to wake the guest: a checkpoint would run it half asleep
    stands_still,     // the standby is given up; the guest is left as QEMU left it
    standby_goes_on,  // QEMU is ended, and the standby takes over
    ends,             // the domain ends, and with it its standby
};

struct Row {
    std::string_view state;  // as query-status says it
    Course course;
    std::string_view words;  // "the guest has ..."
};
std::span<const Row> table();

// A state that is not known is nothing that a checkpoint may touch.
const Row& row_of(std::string_view state);

// The state that an event of QEMU's tells of; empty: of none that would concern a protection.
std::string_view told_by(std::string_view event, const Json& data);

std::string_view name_of(Course course);

}  // namespace segue::run_state
