// SPDX-License-Identifier: LGPL-2.1-or-later
#include "protect/run_state_table.h"

#include <array>

namespace segue::run_state {
namespace {

// RunState of qapi/run-state.json, QEMU 7.2. Its ways are in softmmu/runstate.c.
constexpr std::array kRows = {
    Row{"running", Course::goes_on, "runs"},
    Row{"colo", Course::goes_on, "stands in a checkpoint"},
    Row{"finish-migrate", Course::goes_on, "stands in its first state"},
    Row{"save-vm", Course::goes_on, "is being saved by a monitor's command"},
    Row{"restore-vm", Course::goes_on, "is being restored by a monitor's command"},

    // A checkpoint would let it run.
    Row{"paused", Course::pauses, "was paused"},
    Row{"suspended", Course::wakes, "has gone to sleep"},
    Row{"watchdog", Course::stands_still, "was stopped by its watchdog"},
    // A checkpoint would end QEMU.
    Row{"guest-panicked", Course::stands_still, "has panicked"},
    Row{"debug", Course::stands_still, "stands at a breakpoint"},
    Row{"prelaunch", Course::stands_still, "was reset while it stood still"},
    Row{"io-error", Course::standby_goes_on, "was stopped by an I/O error"},
    Row{"internal-error", Course::standby_goes_on, "cannot be run on by this host's QEMU"},

    Row{"shutdown", Course::ends, "was switched off"},
    // Of no QEMU that was protected.
    Row{"inmigrate", Course::stands_still, "waits for a migration"},
    Row{"postmigrate", Course::stands_still, "stands behind a migration"},
};
constexpr Row kUnknown{"", Course::stands_still, "is in a state that Segue does not know"};

}  // namespace

std::span<const Row> table() {
    return kRows;
}

const Row& row_of(std::string_view state) {
    for (const Row& row : kRows)
        if (row.state == state) return row;
    return kUnknown;
}

std::string_view told_by(std::string_view event, const Json& data) {
    const std::string_view action = data.text("action");
    if (event == "GUEST_PANICKED" && action != "run") return "guest-panicked";
    if (event == "WATCHDOG" && action == "pause") return "watchdog";
    if (event == "BLOCK_IO_ERROR" && action == "stop") return "io-error";
    if (event == "SUSPEND") return "suspended";
    // The guest runs on, from its beginning; memory and devices are the next checkpoint's.
    if (event == "RESET") return "running";
    return "";
}

std::string_view name_of(Course course) {
    switch (course) {
        case Course::goes_on: return "goes on";
        case Course::pauses: return "pauses";
        case Course::wakes: return "is woken";
        case Course::stands_still: return "stands still";
        case Course::standby_goes_on: return "its standby goes on";
        case Course::ends: return "ends";
    }
    return "unknown";
}

}  // namespace segue::run_state
