// SPDX-License-Identifier: LGPL-2.1-or-later
#include "protect/release_promise.h"

#include <gtest/gtest.h>

namespace segue {
namespace {

constexpr Instant kBegin{10s};

TEST(ReleasePromise, HoldsFromWhenItWasAskedFor) {
    PromiseTaker agent;
    EXPECT_FALSE(agent.holds(kBegin));
    agent.sent(1, kBegin);
    agent.repeated(1);
    EXPECT_TRUE(agent.holds(kBegin + 290ms));
    EXPECT_FALSE(agent.holds(kBegin + 291ms));
    // To hear the same again renews nothing.
    agent.repeated(1);
    EXPECT_FALSE(agent.holds(kBegin + 291ms));
    agent.sent(2, kBegin + 200ms);
    agent.sent(3, kBegin + 250ms);
    agent.repeated(3);
    EXPECT_TRUE(agent.holds(kBegin + 530ms));
    // A late word about an older beat takes nothing away, and gives nothing.
    agent.repeated(2);
    EXPECT_TRUE(agent.holds(kBegin + 530ms));
}

TEST(ReleasePromise, ANumberThatWasNeverSentProvesNothing) {
    PromiseTaker agent;
    agent.sent(1, kBegin);
    agent.repeated(7);
    EXPECT_FALSE(agent.holds(kBegin));
    agent.repeated(0);
    EXPECT_FALSE(agent.holds(kBegin));
}

TEST(ReleasePromise, BindsForATermFromTheNewestBeat) {
    PromiseGiver standby(kBegin - 1s);
    standby.expect();
    standby.heard(5, kBegin);
    EXPECT_EQ(standby.newest(), 5U);
    // One that was recorded.
    standby.heard(4, kBegin + 100ms);
    standby.heard(5, kBegin + 100ms);
    EXPECT_EQ(standby.part(kBegin + 100ms), 200ms);
    // Lost is lost, whatever still comes.
    standby.heard(6, kBegin + 110ms);
    EXPECT_EQ(standby.newest(), 5U);
    EXPECT_EQ(standby.part(kBegin + 300ms), 0ms);
    EXPECT_EQ(standby.part(kBegin + 10s), 0ms);
}

TEST(ReleasePromise, ANewProcessKeepsWhatTheOneBeforeMayHavePromised) {
    PromiseGiver standby(kBegin);
    EXPECT_EQ(standby.part(kBegin), 300ms);
    // The next peer's beats begin anew.
    standby.expect();
    standby.heard(1, kBegin + 1s);
    EXPECT_EQ(standby.newest(), 1U);
}

// Whatever the way takes, and whichever clock is wrong: the agent has stopped first.
TEST(ReleasePromise, TheAgentStopsBeforeTheStandbyMayStart) {
    for (const int agent_rate : {-1, 0, 1}) {
        for (const int standby_rate : {-1, 0, 1}) {
            for (const Duration way : {0ms, 1ms, 100ms, 299ms}) {
                const auto clock = [](Duration true_time, int rate) {
                    return Instant{true_time + rate * (true_time / 64)};
                };
                PromiseTaker agent;
                PromiseGiver standby(clock(0s, standby_rate));
                standby.expect();
                agent.sent(1, clock(1s, agent_rate));
                standby.heard(1, clock(1s + way, standby_rate));
                agent.repeated(standby.newest());
                for (Duration at = 1s + way; at < 2s; at += 1ms) {
                    const bool starts = standby.part(clock(at, standby_rate)) == 0ms;
                    EXPECT_FALSE(starts && agent.holds(clock(at, agent_rate)))
                        << to_ms(way) << " " << agent_rate << " " << standby_rate;
                }
            }
        }
    }
}

}  // namespace
}  // namespace segue
