// SPDX-License-Identifier: LGPL-2.1-or-later
// The agent of a machine that moves: what its clients carry along.
#include "spice/server/agent/agent_fixture.h"

namespace segue::spice::server {
namespace {

using AgentMoves = AgentTest;
using wire::SharedBytes;

// Through the client, and back.
Agent::Carried carried_over(const Agent::Carried& carried) {
    const Bytes blob = wire::encode(0, carried.state).body();
    const Bytes more = wire::encode(0, carried.more).body();
    return {wire::parse<wire::migration::Main>(SharedBytes::copy(blob)).value(),
            wire::parse<wire::extension::AgentState>(SharedBytes::copy(more)).value()};
}

// Beside the client, and back.
wire::migration::Main told(const Agent& agent) {
    const Bytes bytes = wire::encode(0, agent.port_state().value()).body();
    return wire::parse<wire::migration::Main>(SharedBytes::copy(bytes)).value();
}
Bytes disconnected() {
    return chunk(VDP_SERVER_PORT, message(VD_AGENT_CLIENT_DISCONNECTED, {}));
}

// At each place where the stream of the agent may be cut, and with a guest that took part of what
// the client sent.
TEST_F(AgentMoves, AMoveAtEveryByteLosesNothing) {
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
        FakeAgentUser user;
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

TEST_F(AgentMoves, NothingIsReadOrWrittenBeforeTheStateHasCome) {
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

TEST_F(AgentMoves, AClientThatBringsNothingHoldsTheDeviceNoLonger) {
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
TEST_F(AgentMoves, TokensFreedWhileTheClientLeavesAreGrantedAtTheTarget) {
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

TEST_F(AgentMoves, AfterAMoveWithoutItsAgentTheClientIsTold) {
    Agent::Carried carried;
    carried.state.agent_device.connected = true;
    carried.state.client_agent_started = true;
    agent_->restore(1, user_, carried);
    EXPECT_TRUE(loop_.run_until([&] { return user_.disconnected == 1; }, 20s));
}

// The client dies at the switch, and nobody brings what stood in the port: the next one hears whole
// messages, and the guest takes whole ones.
TEST_F(AgentMoves, AMoveAtEveryByteWithoutItsClient) {
    Bytes stream;
    for (const std::size_t size : {10u, 2500u, 0u, 40u})
        append(stream, chunk(VDP_CLIENT_PORT, message(VD_AGENT_CLIPBOARD, numbered(size))));
    const std::vector<Bytes> up = pieces_of(message(VD_AGENT_CLIPBOARD, numbered(2500)));
    Bytes written = chunk(VDP_CLIENT_PORT, up[0]);
    append(written, disconnected());
    const Bytes next = message(VD_AGENT_REPLY, numbered(8));
    for (std::size_t cut = 0; cut <= stream.size(); cut += (cut > 100 && cut < 2400 ? 97 : 1)) {
        guest_ = {};
        FakeAgentUser gone;
        auto source = make();
        attach(*source);
        source->join(1, gone);
        ASSERT_TRUE(source->start(1, ~0u));
        const auto at = stream.begin() + static_cast<std::ptrdiff_t>(cut);
        guest_.says.assign(stream.begin(), at);
        source->wakeup();
        guest_.takes = 11;
        ASSERT_TRUE(source->data(1, SharedBytes::copy(up[0])));
        source->set_running(false);
        const wire::migration::Main state = told(*source);

        auto target = make();
        target->set_running(false);
        target->expect_port_state();
        const bool was_linked = cut % 2 == 0;
        if (was_linked) target->expect(1);
        const bool opens_early = cut % 3 == 0;
        if (opens_early) attach(*target);
        guest_.takes = SIZE_MAX;
        guest_.says.assign(at, stream.end());
        target->take_port_state(state);
        target->set_running(true);
        if (!opens_early) attach(*target);
        if (was_linked) target->leave(1);
        target->wakeup();
        ASSERT_TRUE(guest_.says.empty()) << cut;
        ASSERT_EQ(guest_.taken, written) << cut;
        FakeAgentUser user;
        target->join(2, user);
        ASSERT_TRUE(target->start(2, ~0u));
        guest_.says = chunk(VDP_CLIENT_PORT, next);
        target->wakeup();
        ASSERT_EQ(user.heard, next) << cut;
        ASSERT_EQ(user.disconnected, 0);
    }
}

TEST_F(AgentMoves, AClientThatBringsItKnowsBetterThanWhatCameBeside) {
    begin();
    guest_.takes = 11;
    const std::vector<Bytes> up = pieces_of(message(VD_AGENT_CLIPBOARD, numbered(2500)));
    ASSERT_TRUE(say(1, up[0]));
    agent_->set_running(false);
    const wire::migration::Main beside = told(*agent_);
    agent_->before_migrate(1);
    ASSERT_TRUE(say(1, up[1]));
    const Agent::Carried state = carried_over(agent_->capture(1));
    guest_.takes = SIZE_MAX;
    auto target = make();
    target->set_running(false);
    target->expect_port_state();
    target->expect(1);
    attach(*target);
    target->take_port_state(beside);
    target->set_running(true);
    EXPECT_EQ(guest_.taken.size(), 11u);
    target->restore(1, user_, state);
    Bytes written = chunk(VDP_CLIENT_PORT, up[0]);
    append(written, chunk(VDP_CLIENT_PORT, up[1]));
    EXPECT_EQ(guest_.taken, written);
    EXPECT_EQ(user_.connected, 0);
}

// One that comes when it was given up has an agent, and begins anew.
TEST_F(AgentMoves, WhatCameBesideIsNotWrittenTwice) {
    begin();
    guest_.takes = 11;
    const Bytes word = message(VD_AGENT_REPLY, numbered(8));
    ASSERT_TRUE(say(1, word));
    agent_->set_running(false);
    const wire::migration::Main beside = told(*agent_);
    agent_->before_migrate(1);
    const Agent::Carried state = carried_over(agent_->capture(1));
    guest_.takes = SIZE_MAX;
    auto target = make();
    target->set_running(false);
    target->expect_port_state();
    attach(*target);
    target->set_running(true);
    EXPECT_EQ(guest_.taken.size(), 11u) << "it is still on its way";
    target->take_port_state(beside);
    Bytes written = chunk(VDP_CLIENT_PORT, word);
    append(written, disconnected());
    EXPECT_EQ(guest_.taken, written);
    target->restore(1, user_, state);
    EXPECT_EQ(guest_.taken, written);
    EXPECT_EQ(user_.connected, 1);
    // Nor when more is told late.
    target->take_port_state(beside);
    EXPECT_EQ(guest_.taken, written);
}

TEST_F(AgentMoves, WhatIsNeverToldHoldsTheDeviceNoLonger) {
    agent_->set_running(false);
    agent_->expect_port_state();
    attach(*agent_);
    guest_.says = chunk(VDP_CLIENT_PORT, message(VD_AGENT_REPLY, numbered(8)));
    agent_->set_running(true);
    agent_->wakeup();
    EXPECT_FALSE(guest_.says.empty());
    EXPECT_TRUE(loop_.run_until([&] { return guest_.says.empty(); }, 20s));
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

    std::map<ClientId, FakeAgentUser> users_;
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
        const FakeAgentUser before = users_[2];
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

// The first would have brought what was under way; the other has only what came behind that.
TEST_F(SeveralMove, WhatTheFirstDoesNotBringCameBeside) {
    const std::vector<Bytes> pieces = pieces_of(message(VD_AGENT_CLIPBOARD, numbered(3000)));
    const Bytes other = message(VD_AGENT_REPLY, Bytes(8));
    write(*agent_, 1, pieces[0]);
    agent_->set_running(false);
    const wire::migration::Main beside = told(*agent_);
    for (const ClientId id : {1, 2})
        agent_->before_migrate(id);
    write(*agent_, 2, other);
    leave(1);
    leave(2);
    const Bytes begun = guest_.taken;
    for (const bool dies_early : {true, false}) {
        guest_.taken = begun;
        auto after = target();
        after->expect_port_state();
        after->take_port_state(beside);
        if (dies_early) after->leave(1);
        after->restore(2, users_[2], states_[2]);
        if (!dies_early) after->leave(1);
        Bytes expected = chunk(VDP_CLIENT_PORT, pieces[0]);
        append(expected, disconnected());
        append(expected, chunk(VDP_CLIENT_PORT, other));
        EXPECT_EQ(guest_.taken, expected);
    }
}

// One that brings how the port stood, and one in the middle of whose message that was.
TEST_F(SeveralMove, AMessageWhoseClientDoesNotFollowIsEnded) {
    const std::vector<Bytes> pieces = pieces_of(message(VD_AGENT_CLIPBOARD, numbered(3000)));
    const Bytes other = message(VD_AGENT_REPLY, Bytes(8));
    write(*agent_, 1, pieces[0]);
    agent_->set_running(false);
    const wire::migration::Main beside = told(*agent_);
    for (const ClientId id : {1, 2})
        agent_->before_migrate(id);
    write(*agent_, 2, other);
    leave(2);
    write(*agent_, 1, pieces[1]);
    leave(1);
    const Bytes begun = guest_.taken;
    const auto moved = [&](bool tells_beside, bool follows) {
        guest_.taken = begun;
        auto after = target();
        if (tells_beside) {
            after->expect_port_state();
            after->take_port_state(beside);
        }
        after->restore(2, users_[2], states_[2]);
        if (follows) {
            after->restore(1, users_[1], states_[1]);
        } else {
            after->leave(1);
        }
        return guest_.taken;
    };
    Bytes cut = chunk(VDP_CLIENT_PORT, pieces[0]);
    Bytes whole = cut;
    append(cut, disconnected());
    append(whole, chunk(VDP_CLIENT_PORT, pieces[1]));
    for (Bytes* expected : {&cut, &whole})
        append(*expected, chunk(VDP_CLIENT_PORT, other));
    for (const bool tells_beside : {false, true}) {
        EXPECT_EQ(moved(tells_beside, false), cut);
        EXPECT_EQ(moved(tells_beside, true), whole);
    }
}

// Its end went along with another one's state.
TEST_F(SeveralMove, AMessageThatIsWholeNeedsNoClient) {
    const std::vector<Bytes> pieces = pieces_of(message(VD_AGENT_CLIPBOARD, numbered(3000)));
    write(*agent_, 1, pieces[0]);
    agent_->set_running(false);
    const wire::migration::Main beside = told(*agent_);
    for (const ClientId id : {1, 2})
        agent_->before_migrate(id);
    write(*agent_, 1, pieces[1]);
    leave(2);
    auto after = target();
    after->expect_port_state();
    after->take_port_state(beside);
    after->restore(2, users_[2], states_[2]);
    after->leave(1);
    Bytes expected = chunk(VDP_CLIENT_PORT, pieces[0]);
    append(expected, chunk(VDP_CLIENT_PORT, pieces[1]));
    EXPECT_EQ(guest_.taken, expected);
}

// Three: what one brings is of use where the one before it, and the one behind it, do not come.
TEST_F(SeveralMove, AMessageIsEndedInTheMiddleOfWhatIsBrought) {
    const std::vector<Bytes> pieces = pieces_of(message(VD_AGENT_CLIPBOARD, numbered(3000)));
    const Bytes last = message(VD_AGENT_REPLY, Bytes(8));
    agent_->join(3, users_[3]);
    ASSERT_TRUE(agent_->start(3, ~0u));
    write(*agent_, 1, pieces[0]);
    agent_->set_running(false);
    for (const ClientId id : {1, 2, 3})
        agent_->before_migrate(id);
    leave(2);
    write(*agent_, 1, pieces[1]);
    leave(1);
    write(*agent_, 3, last);
    leave(3);
    auto after = target();
    after->expect(3);
    after->restore(3, users_[3], states_[3]);
    after->restore(2, users_[2], states_[2]);
    after->leave(1);
    Bytes expected = chunk(VDP_CLIENT_PORT, pieces[0]);
    append(expected, disconnected());
    append(expected, chunk(VDP_CLIENT_PORT, last));
    EXPECT_EQ(guest_.taken, expected);
}

TEST_F(AgentMoves, WhatOnlyAClientSaysPassesByNoRule) {
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
        FakeAgentUser user;
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
