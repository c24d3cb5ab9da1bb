// SPDX-License-Identifier: LGPL-2.1-or-later
// The agent of a machine that stays where it is.
#include "spice/server/agent/agent_fixture.h"

namespace segue::spice::server {
namespace {

TEST_F(AgentTest, PassesALargeClipboardBothWays) {
    begin();
    const Bytes whole = message(VD_AGENT_CLIPBOARD, numbered(100000));
    Bytes expected;
    for (const Bytes& piece : pieces_of(whole)) {
        ASSERT_GT(user_.may_send, 0u);
        --user_.may_send;
        ASSERT_TRUE(say(1, piece));
        append(expected, chunk(VDP_CLIENT_PORT, piece));
    }
    EXPECT_EQ(guest_.taken, expected);

    // The agent's own chunks may be larger than a message to a client, and come in bits.
    const Bytes all = chunk(VDP_CLIENT_PORT, whole);
    for (std::size_t at = 0; at < all.size(); at += 777) {
        guest_.says.assign(
            all.begin() + static_cast<std::ptrdiff_t>(at),
            all.begin() + static_cast<std::ptrdiff_t>(std::min(at + 777, all.size())));
        agent_->wakeup();
        EXPECT_TRUE(guest_.says.empty());
    }
    EXPECT_EQ(user_.heard, whole);
}

TEST_F(AgentTest, AClientWithoutTokensIsRefusedAndWithoutGrantsHearsNothing) {
    attach(*agent_);
    agent_->join(1, user_);
    ASSERT_TRUE(agent_->start(1, 1));
    guest_.takes = 0;
    const Bytes small = message(VD_AGENT_REPLY, Bytes(8));
    for (std::uint32_t count = 0; count < TokenAccount::kWindow; ++count)
        ASSERT_TRUE(say(1, small));
    EXPECT_FALSE(say(1, small));
    guest_.says = chunk(VDP_CLIENT_PORT, small);
    append(guest_.says, chunk(VDP_CLIENT_PORT, small));
    agent_->wakeup();
    EXPECT_EQ(user_.pieces, 1);
    EXPECT_FALSE(guest_.says.empty());
    user_.has_room = false;
    ASSERT_TRUE(agent_->tokens(1, 5));
    EXPECT_EQ(user_.pieces, 1);
    user_.has_room = true;
    agent_->room(1);
    EXPECT_EQ(user_.pieces, 2);
}

TEST_F(AgentTest, WhatTheEmbedderForbidsDoesNotPassAndIsNotAnnounced) {
    AgentRules rules;
    rules.copy_paste = rules.file_transfer = false;
    agent_->set_rules(rules);
    begin();
    guest_.taken.clear();
    for (const std::uint32_t type : {VD_AGENT_CLIPBOARD_GRAB, VD_AGENT_FILE_XFER_DATA}) {
        ASSERT_TRUE(say(1, message(type, Bytes(10))));
        guest_.says = chunk(VDP_CLIENT_PORT, message(type, Bytes(10)));
        agent_->wakeup();
    }
    EXPECT_TRUE(guest_.taken.empty());
    EXPECT_TRUE(user_.heard.empty());
    LittleWriter caps;
    caps.u32(1);
    caps.u32(~0u & ~(1u << VD_AGENT_CAP_FILE_XFER_DISABLED));
    guest_.says = chunk(VDP_CLIENT_PORT, message(VD_AGENT_ANNOUNCE_CAPABILITIES, caps.take()));
    agent_->wakeup();
    ASSERT_EQ(user_.heard.size(), 28u);
    const auto heard = load<ByteOrder::little, std::uint32_t>(user_.heard.data() + 24);
    EXPECT_EQ(heard & (1u << VD_AGENT_CAP_CLIPBOARD_BY_DEMAND), 0u);
    EXPECT_NE(heard & (1u << VD_AGENT_CAP_FILE_XFER_DISABLED), 0u);
    // An agent that can is told which display is which device.
    EXPECT_EQ(guest_.taken,
              chunk(VDP_SERVER_PORT, message(VD_AGENT_GRAPHICS_DEVICE_INFO, Bytes{1, 2, 3, 4})));
}

TEST_F(AgentTest, MonitorsGoToDevicesThatTakeThem) {
    AgentRules rules;
    rules.monitors_to_devices = [] { return true; };
    agent_->set_rules(rules);
    begin();
    LittleWriter config;
    config.u32(1);
    config.u32(0);
    config.bytes(numbered(sizeof(VDAgentMonConfig)));
    const Bytes data = config.take();
    ASSERT_TRUE(say(1, message(VD_AGENT_MONITORS_CONFIG, data)));
    EXPECT_EQ(monitors_, data);
    EXPECT_TRUE(guest_.taken.empty());
}

// A guest's driver comes, and goes again, long after the server has been told of the device.
TEST_F(AgentTest, DevicesAreAskedEachTimeWhetherTheyTakeMonitors) {
    bool driver_is_there = false;
    AgentRules rules;
    rules.monitors_to_devices = [&] { return driver_is_there; };
    agent_->set_rules(rules);
    begin();
    LittleWriter config;
    config.u32(1);
    config.u32(0);
    config.bytes(numbered(sizeof(VDAgentMonConfig)));
    const Bytes data = config.take();
    const Bytes said = message(VD_AGENT_MONITORS_CONFIG, data);
    ASSERT_TRUE(say(1, said));
    EXPECT_TRUE(monitors_.empty());
    EXPECT_EQ(guest_.taken, chunk(VDP_CLIENT_PORT, said));
    driver_is_there = true;
    ASSERT_TRUE(say(1, said));
    EXPECT_EQ(std::exchange(monitors_, {}), data);
    driver_is_there = false;
    ASSERT_TRUE(say(1, said));
    EXPECT_TRUE(monitors_.empty());
    EXPECT_EQ(guest_.taken.size(), 2 * chunk(VDP_CLIENT_PORT, said).size());
}

// The devices read as many monitors as the message says it has, and their sizes where it says so.
TEST_F(AgentTest, MonitorsThatAreNotThereReachNoDevice) {
    AgentRules rules;
    rules.monitors_to_devices = [] { return true; };
    for (const std::uint32_t flags : {0u, 1u << 1}) {
        LittleWriter config;
        config.u32(2);
        config.u32(flags);
        config.bytes(numbered(2 * sizeof(VDAgentMonConfig)));
        if (flags != 0) config.bytes(numbered(2 * sizeof(VDAgentMonitorMM)));
        const Bytes whole = config.take();
        for (std::size_t size = 0; size <= whole.size(); ++size) {
            agent_ = make();
            agent_->set_rules(rules);
            begin();
            const Bytes data(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
            const bool is_whole = size == whole.size();
            EXPECT_EQ(say(1, message(VD_AGENT_MONITORS_CONFIG, data)).has_value(), is_whole);
            EXPECT_EQ(monitors_, is_whole ? whole : Bytes{});
            monitors_.clear();
        }
        for (const std::uint32_t count : {3u, 257u, 0x10000000u, 0xffffffffu}) {
            agent_ = make();
            agent_->set_rules(rules);
            begin();
            Bytes lying = whole;
            store<ByteOrder::little>(lying.data(), count);
            EXPECT_FALSE(say(1, message(VD_AGENT_MONITORS_CONFIG, lying)));
            EXPECT_TRUE(monitors_.empty());
        }
    }
}

TEST_F(AgentTest, MessagesOfTwoClientsAreNotMixed) {
    begin();
    FakeAgentUser second;
    agent_->join(2, second);
    ASSERT_TRUE(agent_->start(2, ~0u));
    const std::vector<Bytes> one = pieces_of(message(VD_AGENT_CLIPBOARD, numbered(3000)));
    const Bytes other = message(VD_AGENT_REPLY, Bytes(8));
    ASSERT_TRUE(say(1, one[0]));
    ASSERT_TRUE(say(2, other));
    ASSERT_TRUE(say(1, one[1]));
    Bytes expected = chunk(VDP_CLIENT_PORT, one[0]);
    append(expected, chunk(VDP_CLIENT_PORT, one[1]));
    append(expected, chunk(VDP_CLIENT_PORT, other));
    EXPECT_EQ(guest_.taken, expected);
    // One that goes in the middle of its message: the agent is told to forget the beginning.
    guest_.taken.clear();
    ASSERT_TRUE(say(1, one[0]));
    ASSERT_TRUE(say(2, other));
    agent_->leave(1);
    expected = chunk(VDP_CLIENT_PORT, one[0]);
    append(expected, chunk(VDP_SERVER_PORT, message(VD_AGENT_CLIENT_DISCONNECTED, {})));
    append(expected, chunk(VDP_CLIENT_PORT, other));
    EXPECT_EQ(guest_.taken, expected);
}

TEST_F(AgentTest, ClientsLearnWhenTheAgentComesAndGoes) {
    agent_->join(1, user_);
    attach(*agent_);
    EXPECT_EQ(user_.connected, 1);
    ASSERT_TRUE(agent_->start(1, ~0u));
    agent_->detach();
    EXPECT_EQ(user_.disconnected, 1);
    // Under way when it went: nobody's.
    ASSERT_TRUE(say(1, message(VD_AGENT_REPLY, Bytes(8))));
    attach(*agent_);
    EXPECT_EQ(user_.connected, 2);
    ASSERT_TRUE(say(1, numbered(100)));
    EXPECT_TRUE(guest_.taken.empty());
    EXPECT_EQ(changes_, 3);
}

TEST_F(AgentTest, AnAgentThatBreaksItsProtocolIsTakenAway) {
    for (const Bytes& bad : {chunk(9, numbered(30)), chunk(VDP_CLIENT_PORT, numbered(30)),
                             chunk(VDP_CLIENT_PORT, numbered(3))}) {
        agent_ = make();
        guest_.says.clear();
        begin();
        guest_.says = bad;
        agent_->wakeup();
        EXPECT_FALSE(agent_->is_attached());
        EXPECT_TRUE(guest_.connected) << "not from inside its own call";
        agent_->wakeup();
        EXPECT_TRUE(loop_.run_until([&] { return !guest_.connected; }));
    }
    EXPECT_EQ(user_.disconnected, 3);
}

TEST_F(AgentTest, AnAgentThatComesBackBeforeItWasClosedStays) {
    begin();
    guest_.says = chunk(9, numbered(30));
    agent_->wakeup();
    EXPECT_FALSE(agent_->is_attached());
    guest_.says.clear();
    agent_->detach();
    attach(*agent_);
    bool is_later = false;
    (*loop_).post([&] { is_later = true; });
    EXPECT_TRUE(loop_.run_until([&] { return is_later; }));
    EXPECT_TRUE(guest_.connected);
    EXPECT_TRUE(agent_->is_attached());
}

TEST_F(AgentTest, PositionsAreReplacedButNoButtonIsLost) {
    begin();
    guest_.takes = 0;
    agent_->mouse({1, 1, 0, 0});
    guest_.taken.clear();
    agent_->mouse({2, 2, 0, 0});
    agent_->mouse({3, 3, 0, 0});
    agent_->mouse({3, 3, VD_AGENT_UBUTTON_MASK, 0});
    agent_->mouse({3, 3, 0, 0});
    guest_.takes = SIZE_MAX;
    agent_->wakeup();
    std::vector<std::pair<std::uint32_t, std::uint32_t>> seen;
    constexpr std::size_t kSize = sizeof(VDIChunkHeader) + sizeof(VDAgentMessage) + 13;
    ASSERT_EQ(guest_.taken.size() % kSize, 0u);
    for (std::size_t at = 0; at < guest_.taken.size(); at += kSize) {
        LittleReader reader(ByteView(guest_.taken).subspan(at + 28));
        const std::uint32_t x = reader.u32();
        reader.u32();
        seen.emplace_back(x, reader.u32());
    }
    EXPECT_EQ(seen, (std::vector<std::pair<std::uint32_t, std::uint32_t>>{
                        {1, 0}, {3, 0}, {3, VD_AGENT_UBUTTON_MASK}, {3, 0}}));
}

}  // namespace
}  // namespace segue::spice::server
