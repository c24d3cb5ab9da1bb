// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/domain_state.h"

#include <gtest/gtest.h>

namespace segue {
namespace {

TEST(DomainStatus, IsReadAsItWasWritten) {
    const DomainStatus statuses[] = {
        RunningReason::unknown,   RunningReason::booted,
        RunningReason::migrated,  RunningReason::unpaused,
        RunningReason::wakeup,    RunningReason::migration_cancelled,
        PausedReason::unknown,    PausedReason::user,
        PausedReason::migration,  PausedReason::io_error,
        PausedReason::watchdog,   PausedReason::shutting_down,
        PausedReason::crashed,    PausedReason::starting_up,
        ShutOffReason::unknown,   ShutOffReason::shutdown,
        ShutOffReason::destroyed, ShutOffReason::crashed,
        ShutOffReason::migrated,  ShutOffReason::failed,
        ShutOffReason::daemon,    DomainStatus::suspended_by_guest(),
    };
    for (const DomainStatus& status : statuses)
        EXPECT_EQ(status_named(text_of(status)), status) << text_of(status);
    EXPECT_EQ(text_of(PausedReason::io_error), "paused (I/O error)");
    for (const char* const strange : {"", "running", "running ()", "paused (booted)"})
        EXPECT_FALSE(status_named(strange)) << strange;
}

struct Merge {
    const char* said;
    DomainStatus known, expected;
};

// What is stopped arrives stopped; a guest that sleeps has not been stopped by anybody.
TEST(DomainStatus, GoesOnUnlessSomebodyStoppedIt) {
    EXPECT_TRUE(DomainStatus(RunningReason::booted).goes_on());
    EXPECT_TRUE(DomainStatus::suspended_by_guest().goes_on());
    EXPECT_FALSE(DomainStatus(PausedReason::user).goes_on());
    EXPECT_FALSE(DomainStatus(PausedReason::unknown).goes_on());
}

TEST(DomainStatus, IsWhatQemuSaysAndWhatWasKnown) {
    const Merge merges[] = {
        {"running", RunningReason::migrated, RunningReason::migrated},
        {"running", PausedReason::starting_up, RunningReason::booted},
        {"running", PausedReason::user, RunningReason::unpaused},
        {"running", DomainStatus::suspended_by_guest(), RunningReason::wakeup},
        {"running", PausedReason::unknown, RunningReason::unknown},
        {"paused", PausedReason::migration, PausedReason::migration},
        {"paused", PausedReason::user, PausedReason::user},
        {"paused", RunningReason::booted, PausedReason::user},
        {"paused", PausedReason::io_error, PausedReason::user},
        {"prelaunch", PausedReason::starting_up, PausedReason::user},
        {"io-error", PausedReason::user, PausedReason::io_error},
        {"watchdog", RunningReason::booted, PausedReason::watchdog},
        {"guest-panicked", RunningReason::booted, PausedReason::crashed},
        {"shutdown", RunningReason::booted, PausedReason::shutting_down},
        {"suspended", RunningReason::booted, DomainStatus::suspended_by_guest()},
        {"inmigrate", PausedReason::user, PausedReason::migration},
        {"postmigrate", PausedReason::user, PausedReason::migration},
    };
    for (const Merge& merge : merges) {
        EXPECT_EQ(merged_status(merge.said, merge.known), merge.expected)
            << merge.said << ", known " << text_of(merge.known);
    }
    EXPECT_FALSE(merged_status("colo", RunningReason::booted));
}

}  // namespace
}  // namespace segue
