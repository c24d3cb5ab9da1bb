// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/migration/source.h"

#include <gtest/gtest.h>

namespace segue::spice::server {
namespace {

using Source = MigrationSource;
using Ability = Source::Ability;
using Answer = Source::Answer;
using State = Source::State;
using Event = Source::Event;
using Carry = Source::Carry;

const MigrationDestination kThere{"there", 5900, -1, ""};

template <class Action>
int count(const Source::Actions& actions) {
    int found = 0;
    for (const Source::Action& action : actions)
        found += std::holds_alternative<Action>(action) ? 1 : 0;
    return found;
}

// Brings a fresh source into the state, with clients 1 (and 2, who still links).
Source in_state(State state) {
    Source source;
    if (state == State::idle) return source;
    EXPECT_TRUE(source.connect(kThere, {{1, Ability::seamless}, {2, Ability::seamless}}, true));
    if (state == State::linking) return source;
    EXPECT_TRUE(source.answered(1, Answer::seamless));
    if (state == State::trailing) {
        source.end(true, {1, 2});
        return source;
    }
    EXPECT_TRUE(source.answered(2, Answer::semi_seamless));
    if (state == State::carrying) source.end(true, {1, 2}, Carry::waiting);
    if (state == State::leaving) source.end(true, {1, 2});
    return source;
}

constexpr State kStates[] = {State::idle,     State::linking,  State::linked,
                             State::carrying, State::trailing, State::leaving};

TEST(MigrationSource, EveryStateAndEventIsATransitionOrANamedError) {
    for (const State state : kStates) {
        ASSERT_EQ(in_state(state).state(), state) << name_of(state);
        {
            Source source = in_state(state);
            const auto done = source.connect(kThere, {}, true);
            EXPECT_EQ(done.has_value(), Source::allows(state, Event::connect));
            if (!done) {
                EXPECT_EQ(done.error().code, ErrorCode::operation_invalid);
                EXPECT_NE(done.error().message.find(name_of(state)), std::string::npos);
            }
        }
        {
            Source source = in_state(state);
            const auto done = source.start();
            EXPECT_EQ(done.has_value(), Source::allows(state, Event::start)) << name_of(state);
        }
        {
            Source source = in_state(state);
            EXPECT_TRUE(source.answered(77, Answer::failed));
        }
        {
            Source source = in_state(state);
            EXPECT_EQ(source.settled(77, Ability::seamless).empty(),
                      in_state(state).logged_in(77).empty());
        }
        {
            Source source = in_state(state);
            source.came(77);
            if (state == State::leaving) continue;
            EXPECT_EQ(count<Source::SendBegin>(source.settled(77, Ability::seamless)),
                      Source::allows(state, Event::came) ? 1 : 0)
                << name_of(state);
        }
        {
            Source source = in_state(state);
            const auto actions = source.state_taken();
            EXPECT_EQ(actions.empty(), !Source::allows(state, Event::state_taken))
                << name_of(state);
        }
        {
            Source source = in_state(state);
            const auto actions = source.timer();
            EXPECT_EQ(actions.empty(), !Source::allows(state, Event::timer)) << name_of(state);
        }
        {
            Source source = in_state(state);
            const auto actions = source.end(true, {});
            EXPECT_EQ(actions.empty(), !Source::allows(state, Event::end)) << name_of(state);
        }
        {
            Source source = in_state(state);
            source.client_left(1);
            source.client_left(2);
            source.client_left(3);
            EXPECT_NE(source.state(), State::leaving);
        }
    }
}

TEST(MigrationSource, ASeamlessMove) {
    Source source;
    auto begun = source.connect(kThere, {{1, Ability::seamless}}, true);
    ASSERT_TRUE(begun);
    ASSERT_EQ(count<Source::SendBegin>(*begun), 1);
    EXPECT_TRUE(std::get<Source::SendBegin>(begun->front()).seamless);
    EXPECT_EQ(count<Source::ConnectComplete>(*begun), 0);
    const auto answered = source.answered(1, Answer::seamless);
    EXPECT_EQ(count<Source::ConnectComplete>(*answered), 1);
    EXPECT_EQ(count<Source::ClientsLinked>(*answered), 1);
    EXPECT_TRUE(source.start());
    EXPECT_FALSE(source.start()) << "a second start";
    const auto ended = source.end(true, {1});
    EXPECT_EQ(count<Source::MigrateChannels>(ended), 1);
    EXPECT_EQ(count<Source::EndComplete>(ended), 0);
    const auto left = source.client_left(1);
    EXPECT_EQ(count<Source::EndComplete>(left), 1);
    EXPECT_EQ(source.state(), State::idle);
}

TEST(MigrationSource, EachClientGoesItsOwnWay) {
    Source source;
    ASSERT_TRUE(source.connect(
        kThere, {{1, Ability::seamless}, {2, Ability::semi_seamless}, {3, Ability::switch_host}},
        true));
    ASSERT_TRUE(source.answered(1, Answer::failed));
    ASSERT_TRUE(source.answered(2, Answer::semi_seamless));
    const auto ended = source.end(true, {1, 2, 3, 4});
    EXPECT_EQ(count<Source::SendSwitchHost>(ended), 3);
    EXPECT_EQ(count<Source::SendEnd>(ended), 1);
    EXPECT_EQ(count<Source::MigrateChannels>(ended), 0);
}

TEST(MigrationSource, AClientThatStillLinksIsWaitedFor) {
    Source source;
    ASSERT_TRUE(source.connect(kThere, {{1, Ability::seamless}}, true));
    const auto ended = source.end(true, {1});
    EXPECT_EQ(count<Source::ConnectComplete>(ended), 1);
    EXPECT_EQ(count<Source::SendSwitchHost>(ended), 0);
    EXPECT_EQ(source.state(), State::trailing);
    const auto late = source.answered(1, Answer::seamless);
    EXPECT_EQ(count<Source::MigrateChannels>(*late), 1);
    EXPECT_EQ(source.state(), State::leaving);
    EXPECT_EQ(count<Source::EndComplete>(source.client_left(1)), 1);
}

TEST(MigrationSource, AClientThatNeverLinksIsSentThere) {
    Source source;
    ASSERT_TRUE(source.connect(kThere, {{1, Ability::seamless}}, true));
    source.end(true, {1});
    EXPECT_EQ(count<Source::SendSwitchHost>(source.timer()), 1);
    const auto gone = source.timer();
    EXPECT_EQ(count<Source::Disconnect>(gone), 1);
    EXPECT_EQ(count<Source::EndComplete>(gone), 1);
}

TEST(MigrationSource, AFailedMoveCallsTheClientsBackAndAnnouncesNothing) {
    Source source;
    ASSERT_TRUE(source.connect(kThere, {{1, Ability::seamless}, {2, Ability::seamless}}, true));
    ASSERT_TRUE(source.answered(1, Answer::seamless));
    const auto ended = source.end(false, {1, 2});
    EXPECT_EQ(count<Source::SendCancel>(ended), 2);
    EXPECT_EQ(count<Source::ConnectComplete>(ended), 1);
    EXPECT_EQ(count<Source::EndComplete>(ended), 0);
    // The answer of the slower one comes late.
    EXPECT_EQ(count<Source::SendCancel>(*source.answered(2, Answer::seamless)), 1);
}

TEST(MigrationSource, ABadDestinationIsRefused) {
    Source source;
    EXPECT_FALSE(source.connect({"", 5900, -1, ""}, {}, true));
    EXPECT_FALSE(source.connect({"there", -1, -1, ""}, {}, true));
    EXPECT_EQ(source.state(), State::idle);
    EXPECT_FALSE(source.start()) << "no destination";
}

TEST(MigrationSource, AnotherDestinationReplacesTheFirst) {
    Source source;
    ASSERT_TRUE(source.connect(kThere, {{1, Ability::seamless}}, true));
    const auto again = source.connect(kThere, {{1, Ability::seamless}}, true);
    ASSERT_TRUE(again);
    EXPECT_EQ(count<Source::SendCancel>(*again), 1);
    EXPECT_EQ(count<Source::ConnectComplete>(*again), 1) << "the first one's";
    EXPECT_EQ(count<Source::ConnectComplete>(*source.answered(1, Answer::seamless)), 1);
}

// {1: seamless, 2: still linking}, the machine has moved, the state is on its way.
Source carrying() {
    Source source;
    EXPECT_TRUE(source.connect(kThere, {{1, Ability::seamless}, {2, Ability::seamless}}, true));
    EXPECT_TRUE(source.answered(1, Answer::seamless));
    EXPECT_EQ(count<Source::MigrateChannels>(source.end(true, {1, 2}, Carry::waiting)), 0);
    EXPECT_EQ(source.state(), State::carrying);
    return source;
}

TEST(MigrationSource, AClientWhoseStateWasTakenIsToldSo) {
    Source source = carrying();
    const auto taken = source.state_taken();
    ASSERT_EQ(count<Source::MigrateChannels>(taken), 1);
    EXPECT_TRUE(std::get<Source::MigrateChannels>(taken[1]).carried);
    EXPECT_EQ(source.state(), State::trailing) << "for the other client";
    const auto late = source.answered(2, Answer::seamless);
    EXPECT_FALSE(std::get<Source::MigrateChannels>(late->front()).carried)
        << "it linked after the state was told";
}

TEST(MigrationSource, AStateThatIsLateGoesThroughTheClient) {
    Source source = carrying();
    const auto rung = source.timer();
    ASSERT_EQ(count<Source::MigrateChannels>(rung), 1);
    EXPECT_FALSE(std::get<Source::MigrateChannels>(rung.front()).carried);
    EXPECT_TRUE(source.state_taken().empty()) << "too late";
}

TEST(MigrationSource, NobodyWaitsForTheStateOfAClientThatLeft) {
    Source source = carrying();
    source.client_left(1);
    EXPECT_EQ(source.state(), State::trailing);
    EXPECT_EQ(count<Source::EndComplete>(source.client_left(2)), 1);
}

TEST(MigrationSource, AStateThatCameInTimeCostsNoWait) {
    Source source;
    ASSERT_TRUE(source.connect(kThere, {{1, Ability::seamless}}, true));
    ASSERT_TRUE(source.answered(1, Answer::seamless));
    const auto ended = source.end(true, {1}, Carry::taken);
    EXPECT_TRUE(std::get<Source::MigrateChannels>(ended.front()).carried);
    EXPECT_EQ(source.state(), State::leaving);
}

TEST(MigrationSource, AClientThatArrivesJustNowIsToldWhenItIsHere) {
    Source source;
    const auto begun = source.connect(kThere, {{1, Ability::switch_host, true}}, true);
    EXPECT_EQ(count<Source::SendBegin>(*begun), 0);
    EXPECT_EQ(source.state(), State::linking);
    const auto here = source.settled(1, Ability::seamless);
    ASSERT_EQ(count<Source::SendBegin>(here), 1);
    EXPECT_TRUE(std::get<Source::SendBegin>(here.front()).seamless);
    EXPECT_TRUE(source.settled(1, Ability::seamless).empty()) << "once";
    EXPECT_EQ(count<Source::ConnectComplete>(*source.answered(1, Answer::seamless)), 1);
}

TEST(MigrationSource, AClientThatArrivesAfterTheMachineHasGoneIsStillTold) {
    Source source;
    ASSERT_TRUE(source.connect(kThere, {{1, Ability::switch_host, true}}, true));
    EXPECT_TRUE(source.end(true, {1}).size() >= 1);
    EXPECT_EQ(source.state(), State::trailing);
    EXPECT_EQ(count<Source::SendBegin>(source.settled(1, Ability::semi_seamless)), 1);
    EXPECT_EQ(count<Source::SendEnd>(*source.answered(1, Answer::semi_seamless)), 1);
}

TEST(MigrationSource, AClientThatCameAfterTheAnnouncementIsToldToo) {
    Source source;
    EXPECT_EQ(count<Source::ConnectComplete>(*source.connect(kThere, {}, true)), 1);
    source.came(1);
    source.end(true, {1});
    EXPECT_EQ(source.state(), State::trailing);
    EXPECT_EQ(count<Source::SendBegin>(source.settled(1, Ability::seamless)), 1);
    EXPECT_EQ(count<Source::MigrateChannels>(*source.answered(1, Answer::seamless)), 1);
    EXPECT_EQ(count<Source::EndComplete>(source.client_left(1)), 1);
}

TEST(MigrationSource, AClientThatLogsInBehindTheMachineIsSentAfterIt) {
    for (const State state : {State::carrying, State::trailing, State::leaving}) {
        Source source = in_state(state);
        EXPECT_EQ(count<Source::SendSwitchHost>(source.logged_in(9)), 1) << name_of(state);
    }
    Source source = in_state(State::leaving);
    EXPECT_TRUE(source.client_left(1).empty());
    EXPECT_EQ(count<Source::EndComplete>(source.client_left(2)), 1);
    EXPECT_EQ(count<Source::SendSwitchHost>(source.logged_in(9)), 1) << "as long as we are there";
    EXPECT_EQ(source.destination()->host, "there");
    source.machine_runs();
    EXPECT_TRUE(source.logged_in(10).empty());
    for (const State before : {State::idle, State::linking, State::linked})
        EXPECT_TRUE(in_state(before).logged_in(9).empty()) << name_of(before);
}

// The target could not go on with it, while clients that stood still were waited for.
TEST(MigrationSource, AMachineThatGoesOnHereWhileClientsLeaveKeepsItsClients) {
    struct Case {
        State state;
        int sent_away;
        int called_back;
    };
    for (const Case& each :
         {Case{State::carrying, 1, 1}, Case{State::trailing, 1, 1}, Case{State::leaving, 2, 0}}) {
        SCOPED_TRACE(name_of(each.state));
        Source source = in_state(each.state);
        const auto stays = source.machine_runs();
        EXPECT_EQ(count<Source::StopTimer>(stays), 1);
        EXPECT_EQ(count<Source::Disconnect>(stays), each.sent_away) << "they were told to go";
        EXPECT_EQ(count<Source::SendCancel>(stays), each.called_back);
        EXPECT_EQ(count<Source::EndComplete>(stays), 1);
        EXPECT_EQ(source.state(), State::idle);
        EXPECT_FALSE(source.destination());
        EXPECT_TRUE(source.client_left(1).empty()) << "once";
        EXPECT_TRUE(source.logged_in(9).empty()) << "nobody is sent to a target without machine";
        EXPECT_EQ(count<Source::SendCancel>(*source.answered(2, Answer::seamless)), 1);
        EXPECT_TRUE(source.machine_runs().empty());
        EXPECT_TRUE(source.connect(kThere, {}, true)) << "it may move once more";
    }
}

TEST(MigrationSource, AClientThatLogsInBeforeTheMachineHasGoneFollowsIt) {
    for (const bool in_time : {true, false}) {
        Source source;
        ASSERT_TRUE(source.connect(kThere, {}, true));
        ASSERT_EQ(source.state(), State::linked);
        EXPECT_TRUE(source.logged_in(9).empty()) << "its channels are not here yet";
        EXPECT_TRUE(source.awaits(9));
        if (!in_time) {
            EXPECT_EQ(count<Source::SendSwitchHost>(source.end(true, {9})), 0);
        }
        EXPECT_EQ(count<Source::SendBegin>(source.settled(9, Ability::seamless)), 1);
        EXPECT_FALSE(source.awaits(9));
        const auto answered = source.answered(9, Answer::seamless);
        if (in_time) {
            ASSERT_EQ(count<Source::ClientsLinked>(*answered), 1) << "its state may go beside it";
            EXPECT_EQ(std::get<Source::ClientsLinked>(answered->front()).linked, 1u);
            EXPECT_EQ(count<Source::MigrateChannels>(source.end(true, {9})), 1);
        } else {
            EXPECT_EQ(count<Source::MigrateChannels>(*answered), 1);
        }
        EXPECT_EQ(count<Source::EndComplete>(source.client_left(9)), 1);
    }
}

TEST(MigrationSource, AnOrchestratorWaitsForOneThatLogsInMeanwhile) {
    Source source;
    ASSERT_TRUE(source.connect(kThere, {{1, Ability::seamless}}, true));
    EXPECT_TRUE(source.logged_in(9).empty());
    EXPECT_EQ(count<Source::ClientsLinked>(*source.answered(1, Answer::seamless)), 0);
    EXPECT_EQ(count<Source::SendBegin>(source.settled(9, Ability::seamless)), 1);
    EXPECT_EQ(count<Source::ClientsLinked>(*source.answered(9, Answer::seamless)), 1);
}

TEST(MigrationSource, AClientThatArrivesBehindTheMachineIsSentAfterIt) {
    Source source;
    ASSERT_TRUE(source.connect(kThere, {}, true));
    source.end(true, {});
    source.came(1);
    EXPECT_EQ(count<Source::SendSwitchHost>(source.settled(1, Ability::seamless)), 1);
}

TEST(MigrationSource, AClientThatNeverHeardOfTheDestinationIsNotCalledBack) {
    Source source;
    ASSERT_TRUE(source.connect(kThere, {{1, Ability::switch_host, true}}, true));
    EXPECT_EQ(count<Source::SendCancel>(source.end(false, {1})), 0);
}

TEST(MigrationSource, AnArrivingClientThatCanDoNothingIsSentThere) {
    Source source;
    ASSERT_TRUE(source.connect(kThere, {{1, Ability::switch_host, true}}, true));
    EXPECT_EQ(count<Source::ConnectComplete>(source.settled(1, Ability::switch_host)), 1);
    EXPECT_EQ(count<Source::SendSwitchHost>(source.end(true, {1})), 1);
}

// Whatever comes in whatever order: as many completions as were promised.
TEST(MigrationSource, CompletionsComeExactlyOnce) {
    for (unsigned seed = 0; seed < 20000; ++seed) {
        Source source;
        unsigned chance = seed * 2654435761u + 1;
        const auto next = [&](unsigned bound) {
            chance = chance * 1103515245u + 12345u;
            return (chance >> 16) % bound;
        };
        int connects = 0, connect_completions = 0, ends = 0, end_completions = 0;
        const auto take = [&](const Source::Actions& actions) {
            connect_completions += count<Source::ConnectComplete>(actions);
            end_completions += count<Source::EndComplete>(actions);
        };
        std::vector<ClientId> present{1, 2};
        const auto leave = [&](ClientId client) {
            std::erase(present, client);
            take(source.client_left(client));
        };
        for (int step = 0; step < 12; ++step) {
            switch (next(11)) {
                case 0: {
                    std::vector<Source::Candidate> candidates;
                    for (const ClientId client : present)
                        candidates.push_back({client, static_cast<Ability>(next(3)), next(4) == 0});
                    if (auto done = source.connect(kThere, candidates, next(2) == 0)) {
                        ++connects;
                        take(*done);
                    }
                    break;
                }
                case 1: take(*source.answered(1 + next(2), static_cast<Answer>(next(3)))); break;
                case 2: take(source.timer()); break;
                case 3: {
                    const bool moved = next(2) == 0;
                    if (moved && Source::allows(source.state(), Event::end)) ++ends;
                    take(source.end(moved, present, static_cast<Carry>(next(3))));
                    break;
                }
                case 4: leave(1 + next(2)); break;
                case 5: take(source.state_taken()); break;
                case 8: {
                    const ClientId client = 1 + next(2);
                    if (std::find(present.begin(), present.end(), client) == present.end())
                        present.push_back(client);
                    take(source.logged_in(client));
                    break;
                }
                case 7: source.came(1 + next(2)); break;
                case 6: take(source.settled(1 + next(2), static_cast<Ability>(next(3)))); break;
                case 9: take(source.machine_runs()); break;
                default: [[maybe_unused]] const auto started = source.start();
            }
        }
        // In the end everybody leaves, or the time is up.
        take(source.timer());
        take(source.timer());
        take(source.timer());
        leave(1);
        leave(2);
        EXPECT_EQ(connect_completions, connects) << "seed " << seed;
        EXPECT_EQ(end_completions, ends) << "seed " << seed;
    }
}

// A viewer whose process stands still has read nothing of where to go.
TEST(MigrationSource, ASilentClientIsWaitedForLongerToLeave) {
    Source source = in_state(State::leaving);
    // Client 2 has gone; 1 has not read that it was told.
    source.client_left(2);
    for (Duration waited = Source::kLeaveTime; waited < Source::kSilentTime;
         waited += Source::kLeaveTime) {
        const auto rung = source.timer({1});
        EXPECT_EQ(count<Source::Disconnect>(rung), 0);
        EXPECT_EQ(count<Source::StartTimer>(rung), 1);
        EXPECT_EQ(source.state(), State::leaving);
    }
    const auto last = source.timer({1});
    EXPECT_EQ(count<Source::Disconnect>(last), 1);
    EXPECT_EQ(count<Source::EndComplete>(last), 1);
    EXPECT_EQ(source.state(), State::idle);
}

TEST(MigrationSource, WhoComesToItselfIsGivenTheTimeOfTheOthers) {
    Source source = in_state(State::leaving);
    EXPECT_EQ(count<Source::Disconnect>(source.timer({1})), 1) << "client 2 has heard it";
    EXPECT_EQ(count<Source::Disconnect>(source.timer()), 0) << "1 has only just";
    const auto last = source.timer();
    EXPECT_EQ(count<Source::Disconnect>(last), 1);
    EXPECT_EQ(count<Source::EndComplete>(last), 1);

    Source other = in_state(State::leaving);
    other.client_left(2);
    other.timer({1});
    EXPECT_EQ(count<Source::EndComplete>(other.client_left(1)), 1) << "it has followed";
}

TEST(MigrationSource, WhoComesToItselfAtTheVeryEndIsGivenThatTimeToo) {
    Source source = in_state(State::leaving);
    source.client_left(2);
    Duration waited = Source::kLeaveTime;
    for (; waited < Source::kSilentTime; waited += Source::kLeaveTime)
        source.timer({1});
    EXPECT_EQ(count<Source::Disconnect>(source.timer()), 0) << "it has only just";
    EXPECT_EQ(count<Source::EndComplete>(source.timer({1})), 1) << "once";
}

TEST(MigrationSource, ASilentClientThatStillLinksIsNotSentAnew) {
    Source source = in_state(State::trailing);
    for (int round = 0; round < 3; ++round) {
        const auto rung = source.timer({2});
        EXPECT_EQ(count<Source::SendSwitchHost>(rung), 0);
        EXPECT_EQ(count<Source::StartTimer>(rung), 1);
    }
    const auto linked = source.answered(2, Answer::seamless);
    EXPECT_EQ(count<Source::MigrateChannels>(*linked), 1);
    EXPECT_EQ(source.state(), State::leaving);

    Source late = in_state(State::trailing);
    const Duration most = Source::kSilentTime;
    for (Duration waited{}; waited < most; waited += Source::kTrailTime)
        late.timer({2});
    EXPECT_EQ(late.state(), State::leaving) << "there is an end to it";
}

}  // namespace
}  // namespace segue::spice::server
