// SPDX-License-Identifier: LGPL-2.1-or-later
#include <gtest/gtest.h>

#include "sim/handover/run.h"

namespace segue::sim::handover {
namespace {

constexpr std::uint64_t kRuns = 20000;

TEST(Handover, TheClientEndsWhereTheMachineRuns) {
    RunResult all;
    int failed = 0;
    for (std::uint64_t seed = 1; seed <= kRuns && failed < 5; ++seed) {
        const RunResult one = run_once(seed);
        for (const std::string& what : one.violations)
            ADD_FAILURE() << "seed " << seed << " (" << one.story << "): " << what;
        failed += one.violations.empty() ? 0 : 1;
        all.seamless += one.seamless;
        all.semi_seamless += one.semi_seamless;
        all.new_sessions += one.new_sessions;
        all.cancelled += one.cancelled;
        all.carried += one.carried;
        all.restored_beside += one.restored_beside;
        all.restored_through += one.restored_through;
    }
    // Every way was gone, and often.
    constexpr int kOften = 500;
    EXPECT_GT(all.seamless, kOften);
    EXPECT_GT(all.semi_seamless, kOften);
    EXPECT_GT(all.new_sessions, kOften);
    EXPECT_GT(all.cancelled, kOften);
    EXPECT_GT(all.carried, kOften);
    EXPECT_GT(all.restored_beside, kOften);
    EXPECT_GT(all.restored_through, kOften);
}

TEST(Handover, BrokenRulesAreNoticed) {
    for (const Mistake mistake : {Mistake::forget_overtaken, Mistake::older_replaces,
                                  Mistake::crossed_answer, Mistake::silent_behind}) {
        std::uint64_t seed = 1;
        while (seed <= kRuns && run_once(seed, mistake).violations.empty())
            ++seed;
        EXPECT_LE(seed, kRuns) << "mistake " << static_cast<int>(mistake);
    }
}

TEST(Handover, ASeedIsTheSameRun) {
    for (std::uint64_t seed = 1; seed < 50; ++seed)
        EXPECT_EQ(run_once(seed).digest, run_once(seed).digest);
}

}  // namespace
}  // namespace segue::sim::handover
