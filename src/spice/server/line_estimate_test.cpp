// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/line_estimate.h"

#include <gtest/gtest.h>

namespace segue::spice::server {
namespace {

// A line of that speed and length, and 20 messages to a window, of which two may be under way.
LineEstimate after_sending(std::uint64_t bits_per_second, Duration round_trip, std::size_t message,
                           int windows) {
    LineEstimate line;
    Instant now{1s};
    line.restarted(now);
    now = now + round_trip;
    line.synced(now);
    Instant free = now;  // when the line has taken all that was sent
    std::deque<Instant> acks;
    for (int window = 0; window < windows; ++window) {
        if (acks.size() == 2) {
            now = std::max(now, acks.front());
            acks.pop_front();
            line.acked(now);
        }
        for (int at = 0; at < 20; ++at) {
            line.sent(message, at == 19, now);
            free = std::max(free, now) +
                   Duration(std::chrono::microseconds(message * 8 * 1'000'000 / bits_per_second));
        }
        acks.push_back(free + round_trip);
    }
    while (!acks.empty()) {
        line.acked(std::max(now, acks.front()));
        acks.pop_front();
    }
    return line;
}

TEST(LineEstimate, SlowLinesAreFoundAtAnyLength) {
    for (const std::uint64_t speed : {2'000'000u, 4'000'000u, 9'000'000u}) {
        for (const Duration length : {Duration(1ms), Duration(50ms), Duration(200ms)}) {
            SCOPED_TRACE(testing::Message() << speed << " bit/s, " << to_ms(length) << " ms");
            const LineEstimate line = after_sending(speed, length, 8000, 9);
            ASSERT_TRUE(line.bits_per_second());
            EXPECT_TRUE(line.is_low());
            EXPECT_GE(*line.bits_per_second(), speed * 95 / 100);
            EXPECT_LE(*line.bits_per_second(), speed * 11 / 10);
        }
    }
}

TEST(LineEstimate, LongLinesAreNotSlowForThat) {
    for (const Duration length : {Duration(1ms), Duration(50ms), Duration(200ms)})
        EXPECT_FALSE(after_sending(100'000'000, length, 8000, 6).is_low()) << to_ms(length);
}

TEST(LineEstimate, OneSlowMomentIsNoSlowLine) {
    EXPECT_FALSE(after_sending(4'000'000, 1ms, 8000, 4).is_low());
}

TEST(LineEstimate, SmallMessagesSayNothing) {
    const LineEstimate line = after_sending(1'000'000, 100ms, 60, 20);
    EXPECT_FALSE(line.bits_per_second());
    EXPECT_FALSE(line.is_low());
    EXPECT_TRUE(line.round_trip());
}

TEST(LineEstimate, WhatTheOtherServerLearntHoldsUntilMore) {
    LineEstimate line;
    line.assume_low(true);
    EXPECT_TRUE(line.is_low());
    line.acked(Instant{2s});  // of nothing: no window is under way
    EXPECT_TRUE(line.is_low());
}

}  // namespace
}  // namespace segue::spice::server
