// SPDX-License-Identifier: LGPL-2.1-or-later
#include "protect/run_state_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

namespace segue::run_state {
namespace {

// RunState of QEMU 7.2's qapi/run-state.json.
const std::set<std::string_view> kOfQemu = {
    "debug",     "inmigrate",      "internal-error", "io-error", "paused",  "postmigrate",
    "prelaunch", "finish-migrate", "restore-vm",     "running",  "save-vm", "shutdown",
    "suspended", "watchdog",       "guest-panicked", "colo"};

TEST(RunStateTable, EachStateOfQemuHasExactlyOneRow) {
    std::multiset<std::string_view> rows;
    for (const Row& row : table()) {
        rows.insert(row.state);
        EXPECT_EQ(&row_of(row.state), &row);
        EXPECT_FALSE(row.words.empty());
    }
    EXPECT_TRUE(std::equal(rows.begin(), rows.end(), kOfQemu.begin(), kOfQemu.end()));
}

// softmmu/runstate.c: those from which no checkpoint can be begun without an abort.
TEST(RunStateTable, NoCheckpointIsLetIntoAStateThatEndsQemu) {
    for (const std::string_view state :
         {"debug", "prelaunch", "internal-error", "io-error", "guest-panicked"}) {
        EXPECT_NE(row_of(state).course, Course::goes_on) << state;
        EXPECT_NE(row_of(state).course, Course::pauses) << state;
    }
}

TEST(RunStateTable, WhoGoesOn) {
    EXPECT_EQ(row_of("running").course, Course::goes_on);
    EXPECT_EQ(row_of("colo").course, Course::goes_on);
    EXPECT_EQ(row_of("paused").course, Course::pauses);
    EXPECT_EQ(row_of("guest-panicked").course, Course::stands_still);
    EXPECT_EQ(row_of("watchdog").course, Course::stands_still);
    EXPECT_EQ(row_of("io-error").course, Course::standby_goes_on);
    EXPECT_EQ(row_of("internal-error").course, Course::standby_goes_on);
    EXPECT_EQ(row_of("shutdown").course, Course::ends);
    EXPECT_EQ(row_of("suspended").course, Course::wakes);
    EXPECT_EQ(row_of("of a later release").course, Course::stands_still);
}

TEST(RunStateTable, EventsTellOfStates) {
    const auto told = [](std::string_view event, std::string_view action) {
        return std::string(told_by(event, Json::object({{"action", action}})));
    };
    EXPECT_EQ(told("GUEST_PANICKED", "pause"), "guest-panicked");
    EXPECT_EQ(told("GUEST_PANICKED", "poweroff"), "guest-panicked");
    EXPECT_EQ(told("GUEST_PANICKED", "run"), "");
    EXPECT_EQ(told("WATCHDOG", "pause"), "watchdog");
    EXPECT_EQ(told("WATCHDOG", "reset"), "");
    EXPECT_EQ(told("BLOCK_IO_ERROR", "stop"), "io-error");
    EXPECT_EQ(told("BLOCK_IO_ERROR", "report"), "");
    EXPECT_EQ(told("SUSPEND", ""), "suspended");
    EXPECT_EQ(told("RESET", ""), "running");
    EXPECT_EQ(told("STOP", ""), "");
}

TEST(RunStateTable, EveryCourseHasAName) {
    std::set<std::string> names;
    for (int course = 0; course <= static_cast<int>(Course::ends); ++course)
        names.emplace(name_of(static_cast<Course>(course)));
    EXPECT_EQ(names.size(), 6U);
    EXPECT_FALSE(names.contains("unknown"));
}

}  // namespace
}  // namespace segue::run_state
