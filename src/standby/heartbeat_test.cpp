// SPDX-License-Identifier: LGPL-2.1-or-later
#include "standby/heartbeat.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "net/test_loop.h"

namespace segue::standby {
namespace {

using Verdict = BeatJudge::Verdict;

constexpr AgentKey kKey{1, 2, 3};
// Nobody who beats is silent this long on a machine that runs at all.
constexpr BeatJudge::Limits kPatient{.period = 10ms, .silence = 60s, .first = 60s, .hang = 60s};
constexpr BeatJudge::Limits kStrict{.period = 10ms, .silence = 60s, .first = 100ms, .hang = 60s};

// What one end was told.
struct Told {
    std::vector<Verdict> trouble;
    int heard = 0;
    Heartbeat::Handlers handlers() {
        return {[this](Verdict verdict) { trouble.push_back(verdict); }, [this] { ++heard; }};
    }
};

// A bound UDP socket of the loopback device that nobody reads: a way that swallows beats.
struct DeafSocket {
    DeafSocket() {
        address = net::SocketAddress::of_numeric("127.0.0.1", 0).value();
        socket.reset(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        EXPECT_EQ(::bind(socket.get(), address.get(), address.size), 0);
        EXPECT_EQ(::getsockname(socket.get(), address.get(), &address.size), 0);
    }
    net::Descriptor socket;
    net::SocketAddress address;
};

// An address that is free: a moment ago somebody had it.
net::SocketAddress free_address() {
    return DeafSocket().address;
}

TEST(Heartbeat, BothEndsHearEachOther) {
    net::TestLoop loop;
    const auto address = free_address();
    Told standby, agent;
    const auto listening =
        Heartbeat::listen(*loop, address, kKey, standby.handlers(), kPatient).value();
    listening->expect();
    const auto dialled = Heartbeat::dial(*loop, address, kKey, agent.handlers(), kPatient).value();
    EXPECT_TRUE(loop.run_until([&] { return standby.heard == 1 && agent.heard == 1; }));
    EXPECT_TRUE(standby.trouble.empty());
    EXPECT_TRUE(agent.trouble.empty());
}

TEST(Heartbeat, APeerThatNeverBeatsIsMissedAtEitherEnd) {
    net::TestLoop loop;
    Told standby, agent;
    const DeafSocket deaf;
    const auto dialled =
        Heartbeat::dial(*loop, deaf.address, kKey, agent.handlers(), kStrict).value();
    const auto listening =
        Heartbeat::listen(*loop, free_address(), kKey, standby.handlers(), kStrict).value();
    ASSERT_TRUE(loop.run_until([&] { return !agent.trouble.empty(); }));
    EXPECT_EQ(agent.trouble, std::vector{Verdict::unheard});
    // Nobody has linked to it.
    EXPECT_TRUE(standby.trouble.empty());
    listening->expect();
    ASSERT_TRUE(loop.run_until([&] { return !standby.trouble.empty(); }));
    EXPECT_EQ(standby.trouble, std::vector{Verdict::unheard});
    // The next one is missed, too.
    listening->expect();
    ASSERT_TRUE(loop.run_until([&] { return standby.trouble.size() == 2; }));
}

TEST(Heartbeat, WhoeverHasAnotherKeyIsNotHeard) {
    net::TestLoop loop;
    const auto address = free_address();
    Told standby, agent;
    const auto listening =
        Heartbeat::listen(*loop, address, kKey, standby.handlers(), kStrict).value();
    const auto dialled =
        Heartbeat::dial(*loop, address, AgentKey{9}, agent.handlers(), kPatient).value();
    listening->expect();
    ASSERT_TRUE(loop.run_until([&] { return !standby.trouble.empty(); }));
    EXPECT_EQ(standby.trouble, std::vector{Verdict::unheard});
    EXPECT_EQ(standby.heard, 0);
}

}  // namespace
}  // namespace segue::standby
