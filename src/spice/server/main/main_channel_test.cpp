// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/main/main_channel.h"

#include <gtest/gtest.h>

#include "spice/server/display/client/display_channel_fixture.h"
#include "spice/server/migration/seal.h"

namespace segue::spice::server {
namespace {

// Remembers what the client answered to MIGRATE_BEGIN.
class Session final : public MainEvents {
  public:
    Result<> attach_channels() override { return {}; }
    Result<> want_mouse_mode(wire::main::MouseMode) override { return {}; }
    Result<> agent_start(std::uint32_t) override { return {}; }
    Result<> agent_data(const wire::SharedBytes&) override { return {}; }
    Result<> agent_tokens(std::uint32_t) override { return {}; }
    Result<> migrate_linked(Linked linked) override {
        answers.push_back(linked);
        return {};
    }
    Result<> migrate_end() override { return {}; }
    Result<> migrate_do_seamless(std::uint32_t) override { return {}; }
    Result<> restore_main(const MainState& state) override {
        only_client_says.push_back(state.only_client_says);
        return {};
    }
    MainState main_state() override { return {}; }
    void round_trip(Duration) override { ++round_trips; }

    std::vector<Linked> answers;
    int round_trips = 0;
    std::vector<bool> only_client_says;  // of each state that came
};

struct MainChannelTest : testing::Test {
    SystemClock clock;
    DisplayOutput sent;
    Session session;
    MainChannel channel{{}, sent, session, clock};

    template <class Message>
    void hear(const Message& message) {
        const Result<> done = channel.receive(from_client(message));
        EXPECT_TRUE(done) << done.error().message;
    }
    // The client's answer to the last message, a ping.
    wire::common::Pong pong() {
        EXPECT_EQ(sent.messages.back().number, wire::common::Ping::kFromServer);
        const auto ping = wire::parse<wire::common::Ping>(sent.messages.back().body).value();
        return {ping.id, ping.timestamp};
    }
};

// What the agent says cannot be taken back; the rest of the session tells nothing of the guest.
TEST_F(MainChannelTest, WhatTheAgentSaysWaitsAtTheGateAlone) {
    using Kind = control::ScreenWord::Kind;
    for (const bool picture_passes : {false, true}) {
        ChannelSetup setup;
        setup.key = {wire::ChannelType::main, 0};
        setup.gate = std::make_shared<OutputGate>(clock);
        setup.gate->obey({Kind::hold, {}, picture_passes});
        MainChannel gated(setup, sent, session, clock);
        sent.messages.clear();
        gated.say(wire::main::AgentConnectedTokens{});
        gated.say(wire::main::AgentData{});
        gated.say(wire::main::MouseModeChanged{});
        ASSERT_EQ(sent.messages.size(), 1u);
        EXPECT_EQ(sent.messages[0].number, wire::main::MouseModeChanged::kFromServer);
        setup.gate->obey({Kind::release, clock.now(), false});
        gated.leave_gate();
        ASSERT_EQ(sent.messages.size(), 3u);
        EXPECT_EQ(sent.messages[2].number, wire::main::AgentData::kFromServer);
    }
}

// It was on its way when the announcement was taken back, and is no answer to the next one.
TEST_F(MainChannelTest, AnAnswerThatCrossesTheCancelIsPassedOver) {
    channel.begin_migration(wire::main::MigrateBegin{});
    channel.cancel_migration();
    const wire::common::Pong read_so_far = pong();
    channel.begin_migration(wire::main::MigrateBeginSeamless{});
    hear(wire::main::MigrateConnected{});
    EXPECT_TRUE(session.answers.empty());
    hear(read_so_far);
    hear(wire::main::MigrateConnectedSeamless{});
    EXPECT_EQ(session.answers, std::vector{MainEvents::Linked::seamless});
    EXPECT_EQ(session.round_trips, 0) << "this was no measurement";
}

TEST_F(MainChannelTest, ACancelBehindTheAnswerWaitsForNothing) {
    channel.begin_migration(wire::main::MigrateBegin{});
    hear(wire::main::MigrateConnected{});
    channel.cancel_migration();
    EXPECT_EQ(sent.messages.back().number, wire::main::MigrateCancel::kFromServer);
    channel.begin_migration(wire::main::MigrateBegin{});
    hear(wire::main::MigrateConnectError{});
    EXPECT_EQ(session.answers,
              (std::vector{MainEvents::Linked::semi_seamless, MainEvents::Linked::no}));
}

TEST_F(MainChannelTest, AMeasurementIsNotDisturbed) {
    channel.ping();
    const wire::common::Pong measured = pong();
    channel.begin_migration(wire::main::MigrateBegin{});
    channel.cancel_migration();
    const wire::common::Pong read_so_far = pong();
    hear(measured);
    EXPECT_EQ(session.round_trips, 1);
    hear(read_so_far);
    EXPECT_TRUE(channel.is_ping_answered());
}

TEST_F(MainChannelTest, AStateWithoutASealIsOnlyTheClientsWord) {
    StateKey key;
    key.fill(9);
    ChannelSetup setup;
    setup.expects_data = true;
    for (const bool has_key : {false, true}) {
        MainChannel target(setup, sent, session, clock);
        if (has_key) {
            EXPECT_TRUE(target.expect_seal(key));
        }
        Bytes state = write_main_state({});
        seal(state, key, setup.key);
        wire::common::MigrateData data;
        data.data = wire::SharedBytes::take(std::move(state));
        EXPECT_TRUE(target.receive(from_client(data)));
    }
    EXPECT_EQ(session.only_client_says, (std::vector{true, false}));
}

// A client need not wait until its source has given the key away.
TEST_F(MainChannelTest, AStateThatIsQuickerThanTheKeyIsHeldAgainstItLater) {
    StateKey key;
    key.fill(9);
    for (const bool is_sealed : {false, true}) {
        ChannelSetup setup;
        setup.expects_data = true;
        MainChannel target(setup, sent, session, clock);
        Bytes state = write_main_state({});
        if (is_sealed) seal(state, key, setup.key);
        wire::common::MigrateData data;
        data.data = wire::SharedBytes::take(std::move(state));
        EXPECT_TRUE(target.receive(from_client(data)));
        EXPECT_EQ(target.expect_seal(key).has_value(), is_sealed);
        EXPECT_EQ(target.expect_seal(key).has_value(), is_sealed)
            << "the final state brings it once more";
    }
}

// Links are made anew before the key comes; what was restored stays.
TEST_F(MainChannelTest, AStateThatIsQuickerThanTheKeyOutlivesItsConnection) {
    StateKey key;
    key.fill(9);
    for (const bool is_sealed : {false, true}) {
        for (const bool was_asked : {false, true}) {
            ChannelSetup setup;
            setup.expects_data = true;
            setup.early_states = std::make_shared<EarlyStates>();
            auto target = std::make_unique<MainChannel>(setup, sent, session, clock);
            Bytes state = write_main_state({});
            if (is_sealed) seal(state, key, setup.key);
            wire::common::MigrateData data;
            data.data = wire::SharedBytes::take(std::move(state));
            EXPECT_TRUE(target->receive(from_client(data)));
            EXPECT_TRUE(setup.early_states->check(key)) << "it is asked itself";
            if (was_asked) {
                EXPECT_EQ(target->expect_seal(key).has_value(), is_sealed);
            }
            target.reset();
            EXPECT_EQ(setup.early_states->check(key).has_value(), is_sealed);
        }
    }
}

// One that was linked when the key was here already.
TEST_F(MainChannelTest, AChannelThatComesBehindTheKeyKnowsIt) {
    ChannelSetup setup;
    setup.expects_data = true;
    setup.state_key.emplace().fill(9);
    MainChannel target(setup, sent, session, clock);
    wire::common::MigrateData data;
    data.data = wire::SharedBytes::take(write_main_state({}));
    EXPECT_FALSE(target.receive(from_client(data)));
}

// Its next move begins: what it once brought from a server without a key is nobody's business.
TEST_F(MainChannelTest, WhoCameWithoutASealMayMoveOnWithOne) {
    ChannelSetup setup;
    setup.expects_data = true;
    MainChannel moved(setup, sent, session, clock);
    wire::common::MigrateData data;
    data.data = wire::SharedBytes::take(write_main_state({}));
    ASSERT_TRUE(moved.receive(from_client(data)));
    StateKey key;
    key.fill(9);
    moved.seal_state(key);
    moved.migrate();
    ASSERT_TRUE(moved.receive(from_client(wire::common::MigrateFlushMark{})));
    const auto told = wire::parse<wire::common::MigrateData>(sent.messages.back().body).value();
    EXPECT_TRUE(check_seal(sealed_state(told.data.contiguous().view()), key, setup.key));
}

TEST(MainState, SaysNothingMoreOfOneClient) {
    MainState state;
    state.blob.agent_device.write_data = wire::SharedBytes::copy(Bytes(100));
    const Bytes bytes = write_main_state(state);
    EXPECT_EQ(bytes.size(), 65u + 100);
    EXPECT_TRUE(read_main_state(wire::SharedBytes::borrow(bytes)));
    // Another server's, with something of its own behind it.
    Bytes strange = bytes;
    strange.resize(bytes.size() + 7, 0xaa);
    EXPECT_TRUE(read_main_state(wire::SharedBytes::borrow(strange)));
}

TEST(MainState, ComesBackAsItWasAndEveryTruncationIsRefused) {
    MainState state;
    state.blob.agent_device.write_data = wire::SharedBytes::copy(Bytes(10, 5));
    state.agent.order = 3;
    state.agent.held.emplace_back().data = wire::SharedBytes::copy(Bytes{1, 2, 3});
    const Bytes bytes = write_main_state(state);
    const std::size_t stock = 65 + 10;
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        const auto read = read_main_state(wire::SharedBytes::borrow(ByteView(bytes).first(size)));
        EXPECT_EQ(read.has_value(), size >= stock && size < stock + 4) << size;
    }
    const auto read = read_main_state(wire::SharedBytes::borrow(bytes)).value();
    EXPECT_EQ(read.agent.order, 3u);
    ASSERT_EQ(read.agent.held.size(), 1u);
    EXPECT_EQ(read.agent.held[0].data.size(), 3u);
    EXPECT_EQ(read.blob.agent_device.write_data.size(), 10u);
    EXPECT_FALSE(read.media_time);
}

TEST(MainState, TellsTheTimeWithAndWithoutMore) {
    for (const std::uint32_t order : {0u, 3u}) {
        MainState state;
        state.agent.order = order;
        state.media_time = 0xfffffff0;
        const auto read = read_main_state(wire::SharedBytes::take(write_main_state(state))).value();
        EXPECT_EQ(read.media_time, 0xfffffff0);
        EXPECT_EQ(read.agent.order, order);
    }
}

}  // namespace
}  // namespace segue::spice::server
