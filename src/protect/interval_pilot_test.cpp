// SPDX-License-Identifier: LGPL-2.1-or-later
#include "protect/interval_pilot.h"

#include <gtest/gtest.h>

namespace segue {
namespace {

TEST(IntervalPilot, LightLoadWithWaitingOutputHasFortyASecond) {
    IntervalPilot pilot;
    EXPECT_EQ(pilot.interval_ms(), 500U);
    EXPECT_TRUE(pilot.look(900, true));
    EXPECT_EQ(pilot.interval_ms(), 25U);
    EXPECT_FALSE(pilot.look(1000, true));
}

TEST(IntervalPilot, TheGuestIsStoppedForATwentiethAtMost) {
    IntervalPilot pilot;
    EXPECT_TRUE(pilot.look(5000, true));
    EXPECT_EQ(pilot.interval_ms(), 100U);
    EXPECT_TRUE(pilot.look(11'000, true));
    EXPECT_EQ(pilot.interval_ms(), 220U);
    EXPECT_TRUE(pilot.look(1'000'000, true));
    EXPECT_EQ(pilot.interval_ms(), 500U);
}

TEST(IntervalPilot, AQuietGuestIsLeftAlone) {
    IntervalPilot pilot;
    EXPECT_TRUE(pilot.look(900, true));
    int looks = 1;
    while (!pilot.look(900, false))
        ASSERT_LT(++looks, 100);
    EXPECT_EQ(looks, 10);
    EXPECT_EQ(pilot.interval_ms(), 500U);
}

TEST(IntervalPilot, SmallChangesAreNotWorthAWord) {
    IntervalPilot pilot;
    EXPECT_TRUE(pilot.look(5000, true));
    EXPECT_FALSE(pilot.look(6000, true));
    EXPECT_FALSE(pilot.look(4000, true));
    EXPECT_TRUE(pilot.look(7000, true));
    EXPECT_EQ(pilot.interval_ms(), 140U);
}

}  // namespace
}  // namespace segue
