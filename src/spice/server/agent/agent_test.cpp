// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/agent/agent.h"

#include <gtest/gtest.h>

#include "net/test_loop.h"
#include "spice/server/chardev/fake_char_device.h"

namespace segue::spice::server {
namespace {

using wire::SharedBytes;

Bytes message(std::uint32_t type, ByteView data) {
    LittleWriter writer;
    writer.u32(VD_AGENT_PROTOCOL);
    writer.u32(type);
    writer.u64(0);
    writer.u32(static_cast<std::uint32_t>(data.size()));
    writer.bytes(data);
    return writer.take();
}
Bytes chunk(std::uint32_t port, ByteView data) {
    LittleWriter writer;
    writer.u32(port);
    writer.u32(static_cast<std::uint32_t>(data.size()));
    writer.bytes(data);
    return writer.take();
}
void append(Bytes& to, const Bytes& bytes) {
    to.insert(to.end(), bytes.begin(), bytes.end());
}
// A message as a client sends it: in pieces.
std::vector<Bytes> pieces_of(const Bytes& whole) {
    std::vector<Bytes> pieces;
    for (std::size_t at = 0; at < whole.size(); at += VD_AGENT_MAX_DATA_SIZE) {
        const std::size_t size = std::min<std::size_t>(VD_AGENT_MAX_DATA_SIZE, whole.size() - at);
        pieces.emplace_back(whole.begin() + static_cast<std::ptrdiff_t>(at),
                            whole.begin() + static_cast<std::ptrdiff_t>(at + size));
    }
    return pieces;
}

// Through the client, and back.
Agent::Carried carried_over(const Agent::Carried& carried) {
    const Bytes blob = wire::encode(0, carried.state).body();
    const Bytes more = wire::encode(0, carried.more).body();
    return {wire::parse<wire::migration::Main>(SharedBytes::copy(blob)).value(),
            wire::parse<wire::extension::AgentState>(SharedBytes::copy(more)).value()};
}

class FakeUser final : public Agent::User {
  public:
    void agent_connected(std::uint32_t tokens) override {
        ++connected;
        may_send = tokens;
    }
    void agent_disconnected() override { ++disconnected; }
    void agent_says(SharedBytes piece) override {
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
        return agent_->data(id, SharedBytes::copy(piece));
    }

    net::TestLoop loop_;
    FakeGuest guest_;
    FakeUser user_;
    std::unique_ptr<Agent> agent_;
    int changes_ = 0;
    Bytes monitors_;
};

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
    FakeUser second;
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

// At each place where the stream of the agent may be cut, and with a guest that took part of what
// the client sent.
TEST_F(AgentTest, AMoveAtEveryByteLosesNothing) {
    Bytes stream;
    Bytes expected;
    for (const std::size_t size : {10u, 2500u, 0u, 40u}) {
        const Bytes whole = message(VD_AGENT_CLIPBOARD, numbered(size));
        append(expected, whole);
        append(stream, chunk(VDP_CLIENT_PORT, whole));
    }
    const std::vector<Bytes> up = pieces_of(message(VD_AGENT_CLIPBOARD, numbered(2500)));
    for (std::size_t cut = 0; cut <= stream.size(); cut += (cut > 100 && cut < 2400 ? 97 : 1)) {
        guest_ = {};
        FakeUser user;
        auto source = make();
        attach(*source);
        source->join(1, user);
        ASSERT_TRUE(source->start(1, ~0u));
        const auto at = stream.begin() + static_cast<std::ptrdiff_t>(cut);
        guest_.says.assign(stream.begin(), at);
        source->wakeup();
        guest_.takes = 11;
        ASSERT_TRUE(source->data(1, SharedBytes::copy(up[0])));
        source->set_running(false);
        source->before_migrate(1);
        const Agent::Carried state = carried_over(source->capture(1));

        auto target = make();
        target->set_running(false);
        target->restore(1, user, state);  // before the port opens, and behind it
        const bool early = cut % 2 == 0;
        if (early) {
            ASSERT_TRUE(target->data(1, SharedBytes::copy(up[1])));
        }
        guest_.takes = SIZE_MAX;
        guest_.says.assign(at, stream.end());
        attach(*target);
        target->set_running(true);
        target->wakeup();
        if (!early) {
            ASSERT_TRUE(target->data(1, SharedBytes::copy(up[1])));
        }
        ASSERT_EQ(user.heard, expected) << cut;
        Bytes written = chunk(VDP_CLIENT_PORT, up[0]);
        append(written, chunk(VDP_CLIENT_PORT, up[1]));
        ASSERT_EQ(guest_.taken, written) << cut;
        ASSERT_EQ(user.connected, 0);
    }
}

TEST_F(AgentTest, NothingIsReadOrWrittenBeforeTheStateHasCome) {
    agent_->expect(1);
    attach(*agent_);
    // The source stood in the middle of a message, both ways.
    const Bytes clipboard = message(VD_AGENT_CLIPBOARD, numbered(100));
    const Bytes whole = chunk(VDP_CLIENT_PORT, clipboard);
    const auto middle = whole.begin() + 50;
    guest_.says.assign(middle, whole.end());
    agent_->wakeup();
    agent_->mouse({1, 2, 0, 0});
    EXPECT_EQ(guest_.says.size(), whole.size() - 50);
    EXPECT_TRUE(guest_.taken.empty());

    auto source = make();
    FakeGuest former;
    ASSERT_TRUE(source->attach(std::make_unique<FakeCharDevice>(former)));
    source->join(1, user_);
    ASSERT_TRUE(source->start(1, ~0u));
    former.says.assign(whole.begin(), middle);
    former.takes = 11;
    source->wakeup();
    ASSERT_TRUE(source->data(1, SharedBytes::copy(clipboard)));
    source->set_running(false);
    source->before_migrate(1);
    agent_->restore(1, user_, carried_over(source->capture(1)));
    EXPECT_EQ(user_.heard, clipboard);
    Bytes rest(whole.begin() + 11, whole.end());
    ASSERT_GT(guest_.taken.size(), rest.size()) << "the pointer's position, behind it";
    guest_.taken.resize(rest.size());
    EXPECT_EQ(guest_.taken, rest);
    EXPECT_EQ(user_.disconnected, 0);
}

TEST_F(AgentTest, AClientThatBringsNothingHoldsTheDeviceNoLonger) {
    agent_->expect(1);
    agent_->expect(2);
    attach(*agent_);
    guest_.says = chunk(VDP_CLIENT_PORT, message(VD_AGENT_CLIPBOARD, numbered(5)));
    agent_->leave(1);
    EXPECT_FALSE(guest_.says.empty());
    agent_->expect_no_more(2);
    EXPECT_TRUE(guest_.says.empty()) << "dropped: nobody is there who takes it";
}

// Between its MIGRATE and its flush mark a client is told of no tokens; the target tells it.
TEST_F(AgentTest, TokensFreedWhileTheClientLeavesAreGrantedAtTheTarget) {
    begin();
    guest_.takes = 0;
    const Bytes word = message(VD_AGENT_CLIPBOARD, numbered(5));
    for (int count = 0; count < 8; ++count) {
        ASSERT_TRUE(say(1, word));
        --user_.may_send;
    }
    agent_->before_migrate(1);
    guest_.takes = SIZE_MAX;
    agent_->wakeup();
    EXPECT_EQ(user_.may_send, 2u);
    agent_->set_running(false);
    const Agent::Carried state = carried_over(agent_->capture(1));
    auto target = make();
    attach(*target);
    target->restore(1, user_, state);
    EXPECT_EQ(user_.may_send, TokenAccount::kWindow);
}

TEST_F(AgentTest, AfterAMoveWithoutItsAgentTheClientIsTold) {
    Agent::Carried carried;
    carried.state.agent_device.connected = true;
    carried.state.client_agent_started = true;
    agent_->restore(1, user_, carried);
    EXPECT_TRUE(loop_.run_until([&] { return user_.disconnected == 1; }, 20s));
}

// Of what waits for the agent each client takes along what the one before did not; and none is
// heard at the target before all have brought theirs.
class SeveralMove : public AgentTest {
  protected:
    SeveralMove() {
        attach(*agent_);
        guest_.takes = 11;
        for (const ClientId id : {1, 2}) {
            agent_->join(id, users_[id]);
            EXPECT_TRUE(agent_->start(id, ~0u));
        }
    }
    void write(Agent& agent, ClientId id, const Bytes& piece) {
        ASSERT_GT(users_[id].may_send--, 0u);
        ASSERT_TRUE(agent.data(id, SharedBytes::copy(piece)));
    }
    void leave(ClientId id) {
        states_[id] = carried_over(agent_->capture(id));
        agent_->leave(id);
    }
    std::unique_ptr<Agent> target() {
        guest_.takes = SIZE_MAX;
        auto made = make();
        made->set_running(false);
        for (const ClientId id : {1, 2})
            made->expect(id);
        attach(*made);
        made->set_running(true);
        return made;
    }

    std::map<ClientId, FakeUser> users_;
    std::map<ClientId, Agent::Carried> states_;
};

TEST_F(SeveralMove, NothingIsDoubledOrOutOfOrder) {
    Bytes expected;
    const auto say_whole = [&](ClientId id, std::size_t size) {
        const Bytes whole = message(VD_AGENT_REPLY, numbered(size));
        write(*agent_, id, whole);
        append(expected, chunk(VDP_CLIENT_PORT, whole));
    };
    for (std::size_t size = 8; size < 12; ++size)
        say_whole(2, size);
    say_whole(1, 20);
    agent_->set_running(false);
    for (const ClientId id : {1, 2})
        agent_->before_migrate(id);
    leave(1);
    for (std::size_t size = 30; size < 36; ++size)
        say_whole(2, size);
    leave(2);
    EXPECT_EQ(users_[2].may_send, 0u);
    const Bytes begun = guest_.taken;
    for (const ClientId first : {1, 2}) {
        guest_.taken = begun;
        auto after = target();
        const FakeUser before = users_[2];
        after->restore(first, users_[first], states_[first]);
        EXPECT_EQ(guest_.taken, begun) << "the other one is still on its way";
        after->restore(3 - first, users_[3 - first], states_[3 - first]);
        EXPECT_EQ(guest_.taken, expected);
        EXPECT_EQ(users_[2].may_send, TokenAccount::kWindow);
        users_[2] = before;
    }
}

// The pointer of those who are here goes through the agent, too.
TEST_F(SeveralMove, AClientThatHangsDoesNotKeepTheAgentFromOthers) {
    agent_->set_running(false);
    for (const ClientId id : {1, 2})
        agent_->before_migrate(id);
    leave(1);
    leave(2);
    guest_.taken.clear();
    auto after = target();
    after->restore(1, users_[1], states_[1]);
    const Bytes word = message(VD_AGENT_REPLY, numbered(8));
    ASSERT_TRUE(after->data(1, SharedBytes::copy(word)));
    EXPECT_TRUE(guest_.taken.empty());
    EXPECT_TRUE(loop_.run_until([&] { return !guest_.taken.empty(); }, 20s));
    EXPECT_EQ(guest_.taken, chunk(VDP_CLIENT_PORT, word));
    // It comes after all: what stood in the middle then is of no use, and it has an agent.
    const int connected = users_[2].connected;
    after->restore(2, users_[2], states_[2]);
    EXPECT_EQ(users_[2].connected, connected + 1);
    EXPECT_EQ(guest_.taken, chunk(VDP_CLIENT_PORT, word));
}

// Nor one that begins to come when the other is here already, however many try.
TEST_F(SeveralMove, AClientThatBeginsToComeDoesNotKeepTheAgentEither) {
    auto after = target();
    after->expect_no_more(2);
    after->restore(1, users_[1], states_[1]);
    after->expect(3);
    const Bytes word = message(VD_AGENT_REPLY, numbered(8));
    after->join(4, users_[4]);
    ASSERT_TRUE(after->start(4, ~0u));
    guest_.taken.clear();
    ASSERT_TRUE(after->data(4, SharedBytes::copy(word)));
    EXPECT_TRUE(guest_.taken.empty());
    ClientId next = 5;
    const auto again = [&] {
        after->join(next, users_[next]);
        ++next;
    };
    std::unique_ptr<Timer> timer;
    timer = (*loop_).make_timer([&] {
        again();
        timer->start(500ms);
    });
    timer->start(500ms);
    EXPECT_TRUE(loop_.run_until([&] { return !guest_.taken.empty(); }, 20s));
}

TEST_F(AgentTest, WhatOnlyAClientSaysPassesByNoRule) {
    const Bytes clipboard = message(VD_AGENT_CLIPBOARD, numbered(40));
    const Bytes reply = message(VD_AGENT_REPLY, numbered(8));
    const auto written = [&](const Bytes& bytes, bool copy_paste, bool only_client_says) {
        guest_ = {};
        auto target = make();
        AgentRules rules;
        rules.copy_paste = copy_paste;
        target->set_rules(rules);
        attach(*target);
        Agent::Carried carried;
        carried.state.agent_device.connected = true;
        carried.state.agent_device.write_data = SharedBytes::copy(bytes);
        carried.only_client_says = only_client_says;
        FakeUser user;
        target->restore(1, user, carried);
        Bytes taken = guest_.taken;
        target->leave(1);
        return taken;
    };
    const Bytes forbidden = chunk(VDP_CLIENT_PORT, clipboard);
    EXPECT_EQ(written(forbidden, false, false), forbidden) << "its server has judged it";
    EXPECT_TRUE(written(forbidden, false, true).empty());
    EXPECT_EQ(written(chunk(VDP_CLIENT_PORT, reply), false, true), chunk(VDP_CLIENT_PORT, reply));
    EXPECT_EQ(written(forbidden, true, true), forbidden) << "nothing is forbidden";
    EXPECT_TRUE(written(chunk(VDP_SERVER_PORT, reply), false, true).empty())
        << "in the server's name";
    EXPECT_TRUE(written(Bytes(40, 0xff), false, true).empty()) << "no chunk";
}

TEST_F(SeveralMove, AMessageUnderWayIsNotCutIntoByAnothers) {
    const std::vector<Bytes> pieces = pieces_of(message(VD_AGENT_CLIPBOARD, numbered(3000)));
    const Bytes early = message(VD_AGENT_REPLY, Bytes(8));
    const Bytes late = message(VD_AGENT_REPLY, Bytes(9));
    write(*agent_, 1, pieces[0]);
    write(*agent_, 2, early);
    agent_->set_running(false);
    for (const ClientId id : {1, 2})
        agent_->before_migrate(id);
    leave(1);
    write(*agent_, 2, late);
    leave(2);
    const Bytes begun = guest_.taken;
    for (const ClientId first : {1, 2}) {
        guest_.taken = begun;
        auto after = target();
        after->restore(first, users_[first], states_[first]);
        if (first == 1) {
            ASSERT_TRUE(after->data(1, SharedBytes::copy(pieces[1])));
        }
        after->restore(3 - first, users_[3 - first], states_[3 - first]);
        if (first == 2) {
            ASSERT_TRUE(after->data(1, SharedBytes::copy(pieces[1])));
        }
        Bytes expected;
        for (const Bytes& piece : {pieces[0], pieces[1], early, late})
            append(expected, chunk(VDP_CLIENT_PORT, piece));
        EXPECT_EQ(guest_.taken, expected) << first;
    }
}

// What it had begun is ended, and what it took along of the other is not lost.
TEST_F(SeveralMove, OneThatDiesThereTakesNothingFromTheOther) {
    const std::vector<Bytes> pieces = pieces_of(message(VD_AGENT_CLIPBOARD, numbered(3000)));
    const Bytes other = message(VD_AGENT_REPLY, Bytes(8));
    write(*agent_, 1, pieces[0]);
    write(*agent_, 2, other);
    agent_->set_running(false);
    for (const ClientId id : {1, 2})
        agent_->before_migrate(id);
    leave(1);
    leave(2);
    auto after = target();
    after->restore(1, users_[1], states_[1]);
    after->leave(1);
    after->restore(2, users_[2], states_[2]);
    Bytes expected = chunk(VDP_CLIENT_PORT, pieces[0]);
    append(expected, chunk(VDP_SERVER_PORT, message(VD_AGENT_CLIENT_DISCONNECTED, {})));
    append(expected, chunk(VDP_CLIENT_PORT, other));
    EXPECT_EQ(guest_.taken, expected);
}

}  // namespace
}  // namespace segue::spice::server
