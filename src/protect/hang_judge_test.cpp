// SPDX-License-Identifier: LGPL-2.1-or-later
#include "protect/hang_judge.h"

#include <gtest/gtest.h>

namespace segue {
namespace {

using Verdict = HangJudge::Verdict;

int periods_until(HangJudge& judge, Verdict wanted, bool process, bool work) {
    for (int count = 1; count < 1000; ++count) {
        if (process) judge.process_answered();
        if (work) judge.work_answered();
        if (judge.period() == wanted) return count;
    }
    return -1;
}

TEST(HangJudge, WhoAnswersIsWell) {
    HangJudge judge;
    for (int count = 0; count < 1000; ++count) {
        judge.process_answered();
        judge.work_answered();
        ASSERT_EQ(judge.period(), Verdict::well);
    }
}

TEST(HangJudge, AProcessThatAnswersNothingIsSlowFirstAndThenHung) {
    HangJudge slow, hung;
    EXPECT_EQ(periods_until(slow, Verdict::slow, false, false), 11);
    EXPECT_EQ(periods_until(hung, Verdict::hung, false, false), 26);
}

TEST(HangJudge, AMainLoopWithoutAnswerStandsStillWhileTheMonitorLives) {
    HangJudge judge;
    EXPECT_EQ(periods_until(judge, Verdict::stands_still, true, false), 76);
    EXPECT_EQ(periods_until(judge, Verdict::hung, true, false), -1);
}

TEST(HangJudge, AMainLoopThatWaitsForTheStandbyIsNotAccused) {
    HangJudge judge;
    for (int count = 0; count < 1000; ++count) {
        judge.process_answered();
        judge.work_excused();
        ASSERT_EQ(judge.period(), Verdict::well);
    }
    judge.work_excused();
    // Let go, it has as long as any other.
    EXPECT_EQ(periods_until(judge, Verdict::stands_still, true, false), 76);
}

TEST(HangJudge, AnExcuseSaysNothingAboutTheProcess) {
    HangJudge judge;
    int periods = 0;
    do {
        judge.work_excused();
        ++periods;
    } while (judge.period() != Verdict::hung && periods < 1000);
    EXPECT_EQ(periods, 26);
}

TEST(HangJudge, ALateAnswerIsForgiven) {
    HangJudge judge;
    (void)periods_until(judge, Verdict::slow, false, false);
    judge.process_answered();
    judge.work_answered();
    EXPECT_EQ(judge.period(), Verdict::well);
}

}  // namespace
}  // namespace segue
