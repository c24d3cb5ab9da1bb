// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sim/protection.h"

#include <gtest/gtest.h>

namespace segue::sim {
namespace {

TEST(Protection, NoPromotionForgetsWhatWasHeard) {
    int protections = 0, promotions = 0, by_witness = 0;
    for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
        const ProtectionResult result = run_protection({.seed = seed});
        for (const std::string& what : result.violations)
            ADD_FAILURE() << "seed " << seed << ": " << what;
        if (!result.violations.empty()) return;
        protections += result.was_protected ? 1 : 0;
        promotions += result.promoted ? 1 : 0;
        by_witness += result.promoted && result.had_witness ? 1 : 0;
    }
    EXPECT_GT(protections, 1800);
    EXPECT_GT(promotions, 500);
    EXPECT_GT(by_witness, 200);
}

TEST(Protection, OneSeedIsOneRun) {
    EXPECT_EQ(run_protection({.seed = 7}).digest, run_protection({.seed = 7}).digest);
    EXPECT_NE(run_protection({.seed = 7}).digest, run_protection({.seed = 8}).digest);
}

TEST(Protection, BrokenRulesAreFound) {
    for (const auto mistake :
         {ProtectionMistake::release_early, ProtectionMistake::look_past_commit,
          ProtectionMistake::forget_the_lease, ProtectionMistake::believe_nobody,
          ProtectionMistake::seal_blindly, ProtectionMistake::end_unheard,
          ProtectionMistake::take_unheard, ProtectionMistake::break_the_word}) {
        bool found = false;
        for (std::uint64_t seed = 1; seed <= 2000 && !found; ++seed)
            found = !run_protection({.seed = seed, .mistake = mistake}).violations.empty();
        EXPECT_TRUE(found) << static_cast<int>(mistake);
    }
}

}  // namespace
}  // namespace segue::sim
