// SPDX-License-Identifier: LGPL-2.1-or-later
#include "protect/loss_table.h"

#include <gtest/gtest.h>

#include <vector>

namespace segue::loss {
namespace {

std::vector<Case> every_case() {
    std::vector<Case> all;
    for (const Held held : {Held::nothing, Held::first_state, Held::epochs})
        for (const Said said : {Said::nothing, Said::given_up, Said::taken})
            for (const Bias bias : {Bias::hold, Bias::promote, Bias::witness})
                for (const Guest guest : {Guest::runs, Guest::frozen, Guest::paused})
                    all.push_back({held, said, bias, guest});
    return all;
}

TEST(LossTable, EachCaseHasExactlyOneRowAndEachRowACase) {
    std::vector<int> cases(table().size());
    for (const Case& one : every_case()) {
        int rows = 0;
        for (std::size_t row = 0; row < table().size(); ++row) {
            if (!applies(table()[row], one)) continue;
            rows += 1;
            cases[row] += 1;
            EXPECT_EQ(who_goes_on(one), table()[row].course);
        }
        EXPECT_EQ(rows, 1) << static_cast<int>(one.held) << static_cast<int>(one.said)
                           << static_cast<int>(one.bias) << static_cast<int>(one.guest);
    }
    for (std::size_t row = 0; row < cases.size(); ++row)
        EXPECT_GT(cases[row], 0) << table()[row].reason;
}

// The rows one by one, with what the standby does in the same moment: never do both go on.
TEST(LossTable, WhatTheStandbySaidDecides) {
    for (Case one : every_case()) {
        one.said = Said::taken;
        EXPECT_EQ(who_goes_on(one), Course::stands_still);
        one.said = Said::given_up;
        EXPECT_EQ(who_goes_on(one), Course::goes_on);
    }
}

TEST(LossTable, AStandbyWithoutAStateStopsNobody) {
    for (const Bias bias : {Bias::hold, Bias::promote, Bias::witness})
        for (const Guest guest : {Guest::runs, Guest::frozen, Guest::paused})
            EXPECT_EQ(who_goes_on({Held::nothing, Said::nothing, bias, guest}), Course::goes_on);
}

TEST(LossTable, AFirstStateMayBeCommittedThoughNobodyHeard) {
    const auto course = [](Bias bias) {
        return who_goes_on({Held::first_state, Said::nothing, bias, Guest::runs});
    };
    EXPECT_EQ(course(Bias::hold), Course::goes_on);
    EXPECT_EQ(course(Bias::promote), Course::stands_still);
    EXPECT_EQ(course(Bias::witness), Course::asks);
}

TEST(LossTable, AFrozenGuestMayRunThereUnderEveryBias) {
    for (const Bias bias : {Bias::hold, Bias::promote, Bias::witness}) {
        EXPECT_EQ(who_goes_on({Held::epochs, Said::nothing, bias, Guest::frozen}),
                  Course::stands_still);
    }
}

TEST(LossTable, TheBiasDecidesOfAProtectedGuestAlsoOfOneThatIsPaused) {
    for (const Guest guest : {Guest::runs, Guest::paused}) {
        const auto course = [guest](Bias bias) {
            return who_goes_on({Held::epochs, Said::nothing, bias, guest});
        };
        EXPECT_EQ(course(Bias::hold), Course::goes_on);
        EXPECT_EQ(course(Bias::promote), Course::stands_still);
        EXPECT_EQ(course(Bias::witness), Course::asks);
    }
}

}  // namespace
}  // namespace segue::loss
