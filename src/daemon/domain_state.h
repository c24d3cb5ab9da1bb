// SPDX-License-Identifier: LGPL-2.1-or-later
// What a domain does, why, and which lifecycle event says so: libvirt's numbers
// (include/libvirt/libvirt-domain.h of 9.0).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace segue {

enum class DomainState : std::int32_t {
    running = 1,
    paused = 3,
    shutdown = 4,  // on its way
    shut_off = 5,
    crashed = 6,
    pm_suspended = 7,  // by the guest itself: ACPI S3
};

// The reasons of each state have numbers of their own.
enum class RunningReason : std::int32_t {
    unknown = 0,
    booted = 1,
    migrated = 2,
    unpaused = 5,
    migration_cancelled = 6,
    wakeup = 8,  // from S3
};
enum class PausedReason : std::int32_t {
    unknown = 0,
    user = 1,
    migration = 2,
    io_error = 5,
    watchdog = 6,
    shutting_down = 8,
    crashed = 10,
    starting_up = 11,
};
enum class ShutOffReason : std::int32_t {
    unknown = 0,
    shutdown = 1,
    destroyed = 2,
    crashed = 3,
    migrated = 4,
    failed = 6,
    daemon = 8,
};

struct DomainStatus {
    DomainState state = DomainState::shut_off;
    std::int32_t reason = 0;

    DomainStatus() = default;
    DomainStatus(RunningReason why)
        : state(DomainState::running), reason(static_cast<std::int32_t>(why)) {}
    DomainStatus(PausedReason why)
        : state(DomainState::paused), reason(static_cast<std::int32_t>(why)) {}
    DomainStatus(ShutOffReason why)
        : state(DomainState::shut_off), reason(static_cast<std::int32_t>(why)) {}

    static DomainStatus suspended_by_guest() {
        DomainStatus status;
        status.state = DomainState::pm_suspended;
        return status;
    }

    bool is(DomainState wanted) const { return state == wanted; }
    // Nobody has stopped it: one that sleeps is woken by QEMU when it moves, and runs at the other
    // side.
    bool goes_on() const { return is(DomainState::running) || is(DomainState::pm_suspended); }
    friend bool operator==(const DomainStatus&, const DomainStatus&) = default;
};

// "running (migrated)": for logs, and for `segue`.
std::string_view name_of(DomainState state);
std::string_view reason_of(const DomainStatus& status);
// Both, as the store keeps them, and read again; nothing where the text is none of ours.
std::string text_of(const DomainStatus& status);
std::optional<DomainStatus> status_named(std::string_view text);

// What a QEMU that is taken up again does: `said` by query-status, `known` of it before. QEMU knows
// whether the guest runs, and of some stops why; nothing where it says what a domain has no word
// for.
std::optional<DomainStatus> merged_status(std::string_view said, const DomainStatus& known);

// virDomainEventType and its details, as one value.
struct Lifecycle {
    std::int32_t event;
    std::int32_t detail;
    std::string_view name;
};
namespace lifecycle {
inline constexpr Lifecycle kDefined{0, 0, "defined"};
inline constexpr Lifecycle kUpdated{0, 1, "definition changed"};
inline constexpr Lifecycle kUndefined{1, 0, "undefined"};
inline constexpr Lifecycle kBooted{2, 0, "started"};
inline constexpr Lifecycle kArrived{2, 1, "arrived by migration"};
inline constexpr Lifecycle kWokeUp{2, 4, "woke up"};
inline constexpr Lifecycle kPaused{3, 0, "paused"};
inline constexpr Lifecycle kPausedForMigration{3, 1, "paused for migration"};
inline constexpr Lifecycle kPausedByIoError{3, 2, "paused by an I/O error"};
inline constexpr Lifecycle kPausedByWatchdog{3, 3, "paused by the watchdog"};
inline constexpr Lifecycle kUnpaused{4, 0, "resumed"};
inline constexpr Lifecycle kResumedByMigration{4, 1, "resumed by migration"};
inline constexpr Lifecycle kShutdown{5, 0, "shut down"};
inline constexpr Lifecycle kDestroyed{5, 1, "destroyed"};
inline constexpr Lifecycle kCrashed{5, 2, "crashed"};
inline constexpr Lifecycle kMigrated{5, 3, "migrated away"};
inline constexpr Lifecycle kFailed{5, 5, "failed"};
inline constexpr Lifecycle kGuestShutdown{6, 1, "shutting down by the guest"};
inline constexpr Lifecycle kHostShutdown{6, 2, "shutting down by the host"};
inline constexpr Lifecycle kSuspendedByGuest{7, 0, "suspended by the guest"};
inline constexpr Lifecycle kPanicked{8, 0, "panicked"};
}  // namespace lifecycle

}  // namespace segue
