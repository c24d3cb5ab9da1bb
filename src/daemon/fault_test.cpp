// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/fault.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

namespace segue {
namespace {

TEST(Fault, PlanIsPointsAndActions) {
    const auto plan = parse_faults("a.b,c:kill,d:stop");
    ASSERT_TRUE(plan) << plan.error().message;
    ASSERT_EQ(plan->size(), 3u);
    EXPECT_EQ((*plan)[0].point, "a.b");
    EXPECT_EQ((*plan)[0].action, FaultAction::stop);
    EXPECT_EQ((*plan)[1].point, "c");
    EXPECT_EQ((*plan)[1].action, FaultAction::kill);
    EXPECT_EQ((*plan)[2].action, FaultAction::stop);
    for (const char* bad : {"", ",", "a,", ":kill", "a.b:", "a.b:fall over"})
        EXPECT_FALSE(parse_faults(bad)) << bad;
}

// In a process of its own, for the plan is read once.
TEST(Fault, StopsOnceAtItsPointAndNowhereElse) {
    const pid_t child = ::fork();
    if (child == 0) {
        ::setenv("SEGUE_FAULT", "source.record.given.before,other", 1);
        fault_point({"source", "record", "given", "after"});
        fault_point({"source", "record", "given", "before"});
        fault_point({"source", "record", "given", "before"});
        ::_exit(7);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, WUNTRACED), child);
    ASSERT_TRUE(WIFSTOPPED(status));
    ::kill(child, SIGCONT);
    ASSERT_EQ(::waitpid(child, &status, WUNTRACED), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

}  // namespace
}  // namespace segue
