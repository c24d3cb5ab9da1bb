// SPDX-License-Identifier: LGPL-2.1-or-later
// The simulator is itself on trial here: that it repeats, and that its checks can fail.
#include <gtest/gtest.h>

#include <algorithm>

#include "sim/run.h"

namespace segue::sim {
namespace {

// The first seed of `runs` that breaks an invariant, or 0.
std::uint64_t first_violation(const char* scenario, Mistake mistake, std::uint64_t runs,
                              std::string& what) {
    RunOptions options;
    options.scenario = scenario_named(scenario);
    options.mistake = mistake;
    for (options.seed = 1; options.seed <= runs; ++options.seed) {
        const RunResult result = run_once(options);
        if (result.violations.empty()) continue;
        what = result.violations.front();
        return options.seed;
    }
    return 0;
}

TEST(Simulation, RepeatsItself) {
    for (std::uint64_t seed : {1u, 2u, 3u, 1000u}) {
        RunOptions options;
        options.seed = seed;
        const RunResult once = run_once(options);
        const RunResult again = run_once(options);
        EXPECT_EQ(once.digest, again.digest);
        EXPECT_EQ(once.scenario, again.scenario);
        options.seed = seed + 1;
        EXPECT_NE(run_once(options).digest, once.digest);
    }
}

TEST(Simulation, EveryScenarioHolds) {
    for (const Scenario& scenario : scenarios()) {
        std::string what;
        const std::uint64_t seed =
            first_violation(std::string(scenario.name).c_str(), Mistake::none, 40, what);
        EXPECT_EQ(seed, 0u) << scenario.name << ", seed " << seed << ": " << what;
    }
}

// Seeds that once failed, each with what it taught.
TEST(Simulation, WhatWasFoundStaysMended) {
    const struct {
        std::uint64_t seed;
        const char* lesson;
    } found[] = {
        {179296, "a guest left paused stays the operator's to resume when its daemon restarts"},
    };
    for (const auto& [seed, lesson] : found) {
        RunOptions options;
        options.seed = seed;
        EXPECT_TRUE(run_once(options).violations.empty()) << seed << ": " << lesson;
    }
}

TEST(Simulation, CalmMigrationsSucceed) {
    RunOptions options;
    options.scenario = scenario_named("calm");
    int migrations = 0;
    int succeeded = 0;
    for (options.seed = 1; options.seed <= 50; ++options.seed) {
        const RunResult result = run_once(options);
        migrations += result.migrations;
        succeeded += result.succeeded;
        EXPECT_EQ(result.unresolved, 0);
    }
    EXPECT_GT(migrations, 50);
    // Even calm QEMUs fail to start, load or resume now and then.
    EXPECT_GT(succeeded * 10, migrations * 8);
}

// Each rule of the engine, broken on purpose, is found.
struct Broken {
    Mistake mistake;
    const char* scenario;
    const char* finding;
};

class Checks : public testing::TestWithParam<Broken> {};

TEST_P(Checks, CanFail) {
    const Broken broken = GetParam();
    std::string what;
    const std::uint64_t seed = first_violation(broken.scenario, broken.mistake, 3000, what);
    EXPECT_NE(seed, 0u) << name_of(broken.mistake) << " went unnoticed";
    EXPECT_NE(what.find(broken.finding), std::string::npos) << what;
}

INSTANTIATE_TEST_SUITE_P(Mistakes, Checks,
                         testing::Values(Broken{Mistake::resume_unasked, "lost-finish", "copies"},
                                         Broken{Mistake::acknowledge_early, "restart", ""},
                                         Broken{Mistake::forget_to_kill, "cancel", "QEMUs"},
                                         Broken{Mistake::forget_the_job, "cancel", "job"},
                                         Broken{Mistake::kill_on_silence, "cancel", ""}),
                         [](const auto& each) {
                             std::string name(name_of(each.param.mistake));
                             std::replace(name.begin(), name.end(), '-', '_');
                             return name;
                         });

}  // namespace
}  // namespace segue::sim
