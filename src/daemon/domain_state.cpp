// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/domain_state.h"

#include "base/result.h"

namespace segue {
namespace {

// Numbers of a state's reasons are below this.
constexpr std::int32_t kReasons = 16;

// Why QEMU's guest stands still, where its run state says it (qapi/run-state.json).
std::optional<DomainStatus> stopped_status(std::string_view said) {
    if (said == "io-error") return PausedReason::io_error;
    if (said == "watchdog") return PausedReason::watchdog;
    if (said == "guest-panicked") return PausedReason::crashed;
    if (said == "shutdown") return PausedReason::shutting_down;
    if (said == "suspended") return DomainStatus::suspended_by_guest();
    if (said == "inmigrate" || said == "postmigrate" || said == "finish-migrate") {
        return PausedReason::migration;
    }
    return std::nullopt;
}

// Of a guest that QEMU only says is paused: these are ours to know.
bool is_our_reason(const DomainStatus& status) {
    return status == DomainStatus(PausedReason::user) ||
           status == DomainStatus(PausedReason::migration);
}

}  // namespace

std::string_view name_of(DomainState state) {
    switch (state) {
        case DomainState::running: return "running";
        case DomainState::paused: return "paused";
        case DomainState::shutdown: return "in shutdown";
        case DomainState::shut_off: return "shut off";
        case DomainState::crashed: return "crashed";
        case DomainState::pm_suspended: return "pmsuspended";
    }
    return "unknown";
}

std::string_view reason_of(const DomainStatus& status) {
    if (status.is(DomainState::running)) {
        switch (static_cast<RunningReason>(status.reason)) {
            case RunningReason::unknown: break;
            case RunningReason::booted: return "booted";
            case RunningReason::migrated: return "migrated";
            case RunningReason::unpaused: return "unpaused";
            case RunningReason::migration_cancelled: return "migration canceled";
            case RunningReason::wakeup: return "event wakeup";
        }
    } else if (status.is(DomainState::paused)) {
        switch (static_cast<PausedReason>(status.reason)) {
            case PausedReason::unknown: break;
            case PausedReason::user: return "user";
            case PausedReason::migration: return "migrating";
            case PausedReason::io_error: return "I/O error";
            case PausedReason::watchdog: return "watchdog";
            case PausedReason::shutting_down: return "shutting down";
            case PausedReason::crashed: return "crashed";
            case PausedReason::starting_up: return "starting up";
        }
    } else if (status.is(DomainState::shut_off)) {
        switch (static_cast<ShutOffReason>(status.reason)) {
            case ShutOffReason::unknown: break;
            case ShutOffReason::shutdown: return "shutdown";
            case ShutOffReason::destroyed: return "destroyed";
            case ShutOffReason::crashed: return "crashed";
            case ShutOffReason::migrated: return "migrated";
            case ShutOffReason::failed: return "failed";
            case ShutOffReason::daemon: return "daemon";
        }
    }
    return "unknown";
}

std::string text_of(const DomainStatus& status) {
    return fmt::format("{} ({})", name_of(status.state), reason_of(status));
}

std::optional<DomainStatus> status_named(std::string_view text) {
    for (const DomainState state :
         {DomainState::running, DomainState::paused, DomainState::shutdown, DomainState::shut_off,
          DomainState::crashed, DomainState::pm_suspended}) {
        DomainStatus status;
        status.state = state;
        for (status.reason = 0; status.reason < kReasons; ++status.reason) {
            if (text_of(status) == text) return status;
        }
    }
    return std::nullopt;
}

std::optional<DomainStatus> merged_status(std::string_view said, const DomainStatus& known) {
    if (said == "running") {
        if (known.is(DomainState::running)) return known;
        if (known.is(DomainState::pm_suspended)) return RunningReason::wakeup;
        if (known == DomainStatus(PausedReason::starting_up)) return RunningReason::booted;
        if (is_our_reason(known)) return RunningReason::unpaused;
        return RunningReason::unknown;
    }
    if (said == "paused" || said == "prelaunch") {
        return is_our_reason(known) ? known : DomainStatus(PausedReason::user);
    }
    return stopped_status(said);
}

}  // namespace segue
