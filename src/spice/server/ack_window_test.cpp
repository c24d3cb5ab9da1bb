// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/ack_window.h"

#include <gtest/gtest.h>

namespace segue::spice::server {
namespace {

TEST(AckWindow, IsOpenUntilTwoWindowsAreUnderWay) {
    AckWindow acks;
    EXPECT_TRUE(acks.is_open());
    acks.synced(acks.restart(3));
    for (int message = 0; message < 6; ++message) {
        EXPECT_TRUE(acks.is_open()) << message;
        acks.sent();
    }
    EXPECT_FALSE(acks.is_open());
    EXPECT_TRUE(acks.acked());
    EXPECT_TRUE(acks.is_open());
}

TEST(AckWindow, AcknowledgementsOfAnOlderGenerationMeanNothing) {
    AckWindow acks;
    acks.synced(acks.restart(1));
    acks.restart(1);
    acks.sent();
    acks.sent();
    EXPECT_FALSE(acks.acked());
    EXPECT_FALSE(acks.is_open());
}

TEST(AckWindow, TooManyAcknowledgementsOpenNoMoreThanThereIs) {
    AckWindow acks;
    acks.synced(acks.restart(2));
    acks.sent();
    acks.acked();
    acks.acked();
    for (int message = 0; message < 4; ++message)
        acks.sent();
    EXPECT_FALSE(acks.is_open());
}

}  // namespace
}  // namespace segue::spice::server
