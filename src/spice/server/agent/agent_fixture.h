// SPDX-License-Identifier: LGPL-2.1-or-later
// For tests: an agent whose guest and client the test holds.
#pragma once

#include <gtest/gtest.h>

#include "net/test_loop.h"
#include "spice/server/agent/agent.h"
#include "spice/server/chardev/fake_char_device.h"

namespace segue::spice::server {

inline Bytes message(std::uint32_t type, ByteView data) {
    LittleWriter writer;
    writer.u32(VD_AGENT_PROTOCOL);
    writer.u32(type);
    writer.u64(0);
    writer.u32(static_cast<std::uint32_t>(data.size()));
    writer.bytes(data);
    return writer.take();
}
inline Bytes chunk(std::uint32_t port, ByteView data) {
    LittleWriter writer;
    writer.u32(port);
    writer.u32(static_cast<std::uint32_t>(data.size()));
    writer.bytes(data);
    return writer.take();
}
inline void append(Bytes& to, const Bytes& bytes) {
    to.insert(to.end(), bytes.begin(), bytes.end());
}
// A message as a client sends it: in pieces.
inline std::vector<Bytes> pieces_of(const Bytes& whole) {
    std::vector<Bytes> pieces;
    for (std::size_t at = 0; at < whole.size(); at += VD_AGENT_MAX_DATA_SIZE) {
        const std::size_t size = std::min<std::size_t>(VD_AGENT_MAX_DATA_SIZE, whole.size() - at);
        pieces.emplace_back(whole.begin() + static_cast<std::ptrdiff_t>(at),
                            whole.begin() + static_cast<std::ptrdiff_t>(at + size));
    }
    return pieces;
}

class FakeAgentUser final : public Agent::User {
  public:
    void agent_connected(std::uint32_t tokens) override {
        ++connected;
        may_send = tokens;
    }
    void agent_disconnected() override { ++disconnected; }
    void agent_says(wire::SharedBytes piece) override {
        EXPECT_LE(piece.size(), std::size_t{VD_AGENT_MAX_DATA_SIZE});
        heard.insert(heard.end(), piece.view().begin(), piece.view().end());
        ++pieces;
    }
    void agent_grants(std::uint32_t tokens) override { may_send += tokens; }
    bool agent_has_room() const override { return has_room; }

    int connected = 0;
    int disconnected = 0;
    std::uint32_t may_send = TokenAccount::kWindow;
    Bytes heard;
    int pieces = 0;
    bool has_room = true;
};

class AgentTest : public testing::Test {
  protected:
    AgentTest() { agent_ = make(); }
    std::unique_ptr<Agent> make() {
        Agent::Hooks hooks;
        hooks.on_change = [this] { ++changes_; };
        hooks.on_monitors = [this](Bytes config) { monitors_ = std::move(config); };
        hooks.graphics_devices = [] { return Bytes{1, 2, 3, 4}; };
        auto made = std::make_unique<Agent>(*loop_, std::move(hooks));
        made->set_running(true);
        return made;
    }
    void attach(Agent& agent) {
        ASSERT_TRUE(agent.attach(std::make_unique<FakeCharDevice>(guest_)));
    }
    void begin() {
        attach(*agent_);
        agent_->join(1, user_);
        ASSERT_TRUE(agent_->start(1, ~0u));
    }
    Result<> say(ClientId id, const Bytes& piece) {
        return agent_->data(id, wire::SharedBytes::copy(piece));
    }

    net::TestLoop loop_;
    FakeGuest guest_;
    FakeAgentUser user_;
    std::unique_ptr<Agent> agent_;
    int changes_ = 0;
    Bytes monitors_;
};

}  // namespace segue::spice::server
