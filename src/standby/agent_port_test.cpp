// SPDX-License-Identifier: LGPL-2.1-or-later
#include "standby/agent_port.h"

#include <gmock/gmock.h>

#include "net/test_loop.h"
#include "standby/test_peer.h"

namespace segue::standby {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Kind = AgentLink::Kind;

// A port, and an agent that has greeted it.
struct AgentPortTest : ::testing::Test {
    net::TestLoop loop;
    TestFolder folder;
    std::unique_ptr<AgentPort> port;
    std::unique_ptr<TestPeer> agent;
    bool committing = false;
    std::vector<std::string> told;

    void SetUp() override {
        const std::string path = folder.file("agent.sock");
        AgentPort::Handlers handlers;
        handlers.connected = [] { return true; };
        handlers.stream = [this](ByteView bytes) -> Result<> {
            told.push_back("stream " + std::string(as_text(bytes)));
            return {};
        };
        handlers.frames = [](std::size_t, ByteView) -> Result<> { return {}; };
        handlers.must_wait = [this] { return committing; };
        handlers.paused = [this](bool paused) -> Result<> {
            told.emplace_back(paused ? "paused" : "goes on");
            return {};
        };
        handlers.farewell = [this](Kind kind) { told.emplace_back(protect::agent::name_of(kind)); };
        handlers.lost = [this](const Error&, bool at_fault) {
            told.emplace_back(at_fault ? "lost at fault" : "lost");
        };
        port = AgentPort::make(*loop, net::Address::of_unix(path), AgentKey{}, nullptr, handlers)
                   .value();
        agent = std::make_unique<TestPeer>(*loop, path);
        agent->send(AgentLink::hello(AgentKey{}));
        ASSERT_TRUE(loop.run_until([&] { return port->is_linked(); }));
    }

    void send(std::string_view stream, std::optional<Kind> farewell) {
        agent->send(AgentLink::stream(as_bytes(stream)));
        if (farewell) agent->send(AgentLink::tell(*farewell));
    }
};

TEST_F(AgentPortTest, WhatComesBehindACheckpointWaitsForItsCommit) {
    committing = true;
    send("later", Kind::dead);
    const Instant before = port->heard_at();
    EXPECT_TRUE(loop.run_until([&] { return port->heard_at() > before; }));
    EXPECT_THAT(told, IsEmpty());
    committing = false;
    port->resume();
    EXPECT_TRUE(loop.run_until([&] { return told.size() == 2; }));
    EXPECT_THAT(told, ElementsAre("stream later", "dead"));
}

// `segue unprotect` in the middle of a commit: who takes the end for a loss promotes a second copy.
TEST_F(AgentPortTest, AFarewellIsHeardThoughTheLinkEndsDuringACommit) {
    committing = true;
    send("behind the epoch", Kind::ends);
    const Instant before = port->heard_at();
    agent->connection->end_output();
    EXPECT_TRUE(loop.run_until([&] { return port->heard_at() > before; }));
    loop.run_for(20ms);
    EXPECT_TRUE(port->is_linked());
    // It is heard in its turn, and answered: the agent listens on.
    committing = false;
    port->resume();
    EXPECT_THAT(told, ElementsAre("stream behind the epoch", "ends"));
    port->give_up([] {});
    const auto heard = [&] {
        AgentLink link(AgentLink::End::agent);
        AgentLink::Message message;
        for (std::size_t at = 0, now = 1; now != 0; at += now) {
            now = link.next(ByteView(agent->input).subspan(at), message).value();
            if (now != 0 && message.kind == Kind::given_up) return true;
        }
        return false;
    };
    EXPECT_TRUE(loop.run_until(heard));
}

// Over TLS both are in one read: what was said last is heard before the end, and answered.
TEST_F(AgentPortTest, AnEndRightBehindAFarewellIsNoLoss) {
    agent->send(AgentLink::tell(Kind::ends));
    agent->connection->end_output();
    EXPECT_TRUE(loop.run_until([&] { return !told.empty(); }));
    loop.run_for(20ms);
    EXPECT_THAT(told, ElementsAre("ends"));
    EXPECT_TRUE(port->is_linked());
}

TEST_F(AgentPortTest, AFarewellIsHeardThoughWeDropTheLinkOurselves) {
    committing = true;
    send("x", Kind::dead);
    const Instant before = port->heard_at();
    EXPECT_TRUE(loop.run_until([&] { return port->heard_at() > before; }));
    port->drop("a test");
    EXPECT_THAT(told, ElementsAre("dead"));
}

// Who is dropped hears why, also when it came second, or before it has greeted.
std::string last_reason(ByteView input) {
    AgentLink link(AgentLink::End::agent);
    AgentLink::Message message;
    std::string reason;
    for (std::size_t at = 0, now = 1; now != 0; at += now) {
        now = link.next(input.subspan(at), message).value();
        if (now != 0 && message.kind == Kind::closing) reason = AgentLink::reason_of(message);
    }
    return reason;
}

TEST_F(AgentPortTest, EachClosedLinkHearsWhy) {
    TestPeer second(*loop, folder.file("agent.sock"));
    ASSERT_TRUE(loop.run_until([&] { return second.closed; }));
    EXPECT_EQ(last_reason(second.input), "another agent is linked");
    EXPECT_TRUE(port->is_linked());

    port->drop("no progress in time while synchronising");
    EXPECT_TRUE(loop.run_until([&] { return agent->closed; }));
    EXPECT_EQ(last_reason(agent->input), "no progress in time while synchronising");
    EXPECT_THAT(told, IsEmpty());

    TestPeer wrong(*loop, folder.file("agent.sock"));
    wrong.send(AgentLink::hello(AgentKey{9}));
    EXPECT_TRUE(loop.run_until([&] { return wrong.closed; }));
    EXPECT_THAT(last_reason(wrong.input), ::testing::HasSubstr("wrong key"));
}

TEST_F(AgentPortTest, ALinkThatIsLeftIsFreeForTheNext) {
    agent->connection->set_reading(false);
    port->drop("a test");
    EXPECT_FALSE(port->is_linked());
    TestPeer next(*loop, folder.file("agent.sock"));
    next.send(AgentLink::hello(AgentKey{}));
    EXPECT_TRUE(loop.run_until([&] { return port->is_linked(); }));
    // What the one before still says is heard by nobody, and its end is not the next one's.
    agent->send(AgentLink::tell(Kind::dead));
    agent->connection->close();
    next.send(AgentLink::tell(Kind::yields));
    EXPECT_TRUE(loop.run_until([&] { return !told.empty(); }));
    EXPECT_THAT(told, ElementsAre("yields"));
    EXPECT_TRUE(port->is_linked());
}

// Whoever reaches the port and says nothing holds nobody up.
TEST_F(AgentPortTest, StrangersDoNotHoldTheAgentsPlace) {
    port->drop("a test");
    std::vector<std::unique_ptr<TestPeer>> strangers;
    for (std::size_t count = 0; count < AgentPort::kMaxStrangers + 3; ++count)
        strangers.push_back(std::make_unique<TestPeer>(*loop, folder.file("agent.sock")));
    // The first ones have made room.
    ASSERT_TRUE(loop.run_until([&] { return strangers[2]->closed; }));
    EXPECT_FALSE(strangers[3]->closed);
    EXPECT_THAT(last_reason(strangers[0]->input), ::testing::HasSubstr("do not greet"));
    TestPeer next(*loop, folder.file("agent.sock"));
    next.send(AgentLink::hello(AgentKey{}));
    EXPECT_TRUE(loop.run_until([&] { return port->is_linked(); }, 3s));
    // Nobody else is waited for.
    ASSERT_TRUE(loop.run_until([&] { return strangers.back()->closed; }, 3s));
    // (For the agent the fourth has made room.)
    EXPECT_EQ(last_reason(strangers[4]->input), "another agent is linked");
}

TEST_F(AgentPortTest, WhoLeavesBeforeHeGreetsIsGone) {
    port->drop("a test");
    TestPeer next(*loop, folder.file("agent.sock"));
    next.send(AgentLink::closing("a reason"));
    EXPECT_TRUE(loop.run_until([&] { return next.closed; }));
    EXPECT_THAT(last_reason(next.input), ::testing::HasSubstr("leaves before it greets: a reason"));
    EXPECT_FALSE(port->is_linked());
}

TEST_F(AgentPortTest, APauseThatEndsIsAnsweredWhenItIsKnown) {
    agent->send(AgentLink::tell(Kind::pauses));
    ASSERT_TRUE(loop.run_until([&] { return told.size() == 1; }));
    const std::size_t before = agent->input.size();
    agent->send(AgentLink::tell(Kind::resumes));
    ASSERT_TRUE(loop.run_until([&] { return agent->input.size() > before; }));
    EXPECT_THAT(told, ElementsAre("paused", "goes on"));
    const Bytes answer(agent->input.begin() + static_cast<std::ptrdiff_t>(before),
                       agent->input.end());
    EXPECT_EQ(answer, AgentLink::tell(Kind::resumed));
}

TEST_F(AgentPortTest, AReasonIsNoFarewell) {
    agent->send(AgentLink::closing("the standby is given up"));
    agent->send(AgentLink::tell(Kind::ends));
    EXPECT_TRUE(loop.run_until([&] { return !told.empty(); }));
    EXPECT_THAT(told, ElementsAre("ends"));
}

TEST_F(AgentPortTest, AnAgentThatIsGivenUpHearsItAndEndsTheLink) {
    bool heard = false;
    port->give_up([&] { heard = true; });
    EXPECT_TRUE(loop.run_until([&] { return !agent->input.empty(); }));
    agent->connection->close();
    EXPECT_TRUE(loop.run_until([&] { return heard; }));
    EXPECT_THAT(told, ElementsAre("lost"));
}

TEST_F(AgentPortTest, AnEndWithoutAFarewellIsALoss) {
    committing = true;
    send("x", std::nullopt);
    agent->connection->close_after_output();
    EXPECT_TRUE(loop.run_until([&] { return !port->is_linked(); }));
    EXPECT_THAT(told, ElementsAre("lost"));
}

}  // namespace
}  // namespace segue::standby
