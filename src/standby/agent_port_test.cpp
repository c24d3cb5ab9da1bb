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
        handlers.farewell = [this](Kind kind) {
            told.emplace_back(kind == Kind::ends ? "ends" : "dead");
        };
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
    send("of an epoch that is not whole", Kind::ends);
    agent->connection->close_after_output();
    EXPECT_TRUE(loop.run_until([&] { return !port->is_linked(); }));
    EXPECT_THAT(told, ElementsAre("ends", "lost"));
}

TEST_F(AgentPortTest, AFarewellIsHeardThoughWeDropTheLinkOurselves) {
    committing = true;
    send("x", Kind::dead);
    const Instant before = port->heard_at();
    EXPECT_TRUE(loop.run_until([&] { return port->heard_at() > before; }));
    port->drop();
    EXPECT_THAT(told, ElementsAre("dead"));
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
