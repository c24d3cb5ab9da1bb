// SPDX-License-Identifier: LGPL-2.1-or-later
#include "protect/beat_judge.h"

#include <gtest/gtest.h>

namespace segue {
namespace {

using Verdict = BeatJudge::Verdict;

int periods_until(BeatJudge& judge, Verdict wanted) {
    for (int count = 1; count < 10000; ++count) {
        if (judge.period() == wanted) return count;
    }
    return -1;
}

TEST(BeatJudge, NobodyIsAccusedWhoseBeatsAreNotDue) {
    BeatJudge judge;
    for (int count = 0; count < 1000; ++count)
        EXPECT_EQ(judge.period(), Verdict::alive);
    // A stray beat makes nobody's due.
    judge.heard(1, 1);
    for (int count = 0; count < 1000; ++count)
        EXPECT_EQ(judge.period(), Verdict::alive);
}

TEST(BeatJudge, AFirstBeatThatNeverComesIsMissed) {
    BeatJudge judge;
    judge.expect();
    EXPECT_EQ(periods_until(judge, Verdict::unheard), 100);  // 5 s
    EXPECT_EQ(judge.period(), Verdict::unheard);
}

TEST(BeatJudge, AFirstBeatMayBeLate) {
    BeatJudge judge;
    judge.expect();
    judge.guard();
    for (int count = 0; count < 99; ++count)
        ASSERT_EQ(judge.period(), Verdict::alive);
    judge.heard(1, 1);
    EXPECT_EQ(periods_until(judge, Verdict::silent), 6);
}

TEST(BeatJudge, TheNextPeerCountsFromItsOwnFirstBeat) {
    BeatJudge judge;
    judge.expect();
    judge.guard();
    judge.heard(1000, 7);
    EXPECT_EQ(periods_until(judge, Verdict::silent), 6);
    judge.expect();
    EXPECT_EQ(judge.period(), Verdict::alive);
    judge.guard();
    judge.heard(1, 7);
    for (int count = 0; count < 5; ++count)
        EXPECT_EQ(judge.period(), Verdict::alive);
    EXPECT_EQ(judge.period(), Verdict::silent);
}

TEST(BeatJudge, SilenceIsCountedInOwnPeriods) {
    BeatJudge judge;
    judge.expect();
    judge.guard();
    judge.heard(1, 1);
    EXPECT_EQ(periods_until(judge, Verdict::silent), 6);  // 300 ms
    judge.heard(2, 1);
    EXPECT_EQ(judge.period(), Verdict::alive);
}

// Two hosts that copy a first state beside a build: late is not gone.
TEST(BeatJudge, BeforeAnythingIsProtectedABeatMayBeLate) {
    BeatJudge judge;
    judge.expect();
    judge.heard(1, 1);
    for (int count = 0; count < 90; ++count)
        ASSERT_EQ(judge.period(), Verdict::alive);
    judge.heard(2, 2);
    EXPECT_EQ(periods_until(judge, Verdict::silent), 100);  // 5 s
    judge.heard(3, 3);
    judge.guard();
    EXPECT_EQ(periods_until(judge, Verdict::silent), 6);
    // The next peer is not protected yet.
    judge.expect();
    judge.heard(1, 1);
    EXPECT_EQ(periods_until(judge, Verdict::silent), 100);
}

TEST(BeatJudge, StrictSilenceBeginsWithTheProtection) {
    BeatJudge judge;
    judge.expect();
    judge.heard(1, 1);
    // The first commit, on a busy disk.
    for (int count = 0; count < 50; ++count)
        ASSERT_EQ(judge.period(), Verdict::alive);
    judge.guard();
    EXPECT_EQ(periods_until(judge, Verdict::silent), 6);
    // Said again, it forgives nothing.
    judge.heard(2, 2);
    for (int count = 0; count < 5; ++count)
        ASSERT_EQ(judge.period(), Verdict::alive);
    judge.guard();
    EXPECT_EQ(judge.period(), Verdict::silent);
}

TEST(BeatJudge, WhoseLinkSpeaksIsNotSilent) {
    BeatJudge judge;
    judge.expect();
    judge.guard();
    // But a way for beats is proven by beats.
    for (int count = 0; count < 50; ++count) {
        judge.heard_otherwise();
        ASSERT_EQ(judge.period(), Verdict::alive);
    }
    EXPECT_EQ(periods_until(judge, Verdict::unheard), 50);
    judge.expect();
    judge.guard();
    judge.heard(1, 1);
    for (int count = 0; count < 100; ++count) {
        judge.heard_otherwise();
        ASSERT_EQ(judge.period(), Verdict::alive);
    }
    // Nor does it hide that the work stands still.
    EXPECT_EQ(judge.period(), Verdict::hung);
    judge.heard(2, 2);
    EXPECT_EQ(periods_until(judge, Verdict::silent), 6);
}

TEST(BeatJudge, ABeatingHeartWithoutWorkIsHung) {
    BeatJudge judge;
    judge.expect();
    std::uint64_t number = 0;
    int periods = 0;
    do {
        judge.heard(++number, 7);
        ++periods;
    } while (judge.period() == Verdict::alive);
    EXPECT_EQ(periods, 101);  // more than 5 s
    judge.heard(++number, 8);
    EXPECT_EQ(judge.period(), Verdict::alive);
}

TEST(BeatJudge, AnOldBeatCountsForNothing) {
    BeatJudge judge;
    judge.expect();
    judge.guard();
    judge.heard(10, 1);
    for (int count = 0; count < 5; ++count)
        (void)judge.period();
    judge.heard(10, 2);
    judge.heard(3, 3);
    EXPECT_EQ(judge.period(), Verdict::silent);
}

}  // namespace
}  // namespace segue
