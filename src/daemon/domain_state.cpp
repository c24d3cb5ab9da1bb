// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/domain_state.h"

namespace segue {

std::string_view name_of(DomainState state) {
    switch (state) {
        case DomainState::running: return "running";
        case DomainState::paused: return "paused";
        case DomainState::shutdown: return "in shutdown";
        case DomainState::shut_off: return "shut off";
        case DomainState::crashed: return "crashed";
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

}  // namespace segue
