// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/migration/target.h"

#include <gtest/gtest.h>

namespace segue::spice::server {
namespace {

using Target = MigrationTarget;
using State = Target::State;
using Event = Target::Event;

Target in_state(State state) {
    Target target;
    if (state == State::restoring) {
        EXPECT_TRUE(target.do_seamless(1));
    }
    if (state == State::settled) {
        EXPECT_TRUE(target.migrate_end());
    }
    return target;
}

Result<Target::Actions> feed(Target& target, Event event) {
    switch (event) {
        case Event::channel_linked: return target.channel_linked(0);
        case Event::do_seamless: return target.do_seamless(1);
        case Event::migrate_end: return target.migrate_end();
        case Event::state_came: return target.state_came();
        case Event::late: return target.late();
    }
    return fail(ErrorCode::internal, "no such event");
}

TEST(MigrationTarget, EveryStateAndEventIsATransitionOrANamedError) {
    for (const State state : {State::parked, State::restoring, State::settled}) {
        for (const Event event : {Event::channel_linked, Event::do_seamless, Event::migrate_end,
                                  Event::state_came, Event::late}) {
            Target target = in_state(state);
            const auto done = feed(target, event);
            EXPECT_EQ(done.has_value(), Target::allows(state, event))
                << name_of(state) << ", " << name_of(event);
            if (done) continue;
            EXPECT_NE(done.error().message.find(name_of(state)), std::string::npos);
            EXPECT_NE(done.error().message.find(name_of(event)), std::string::npos);
            EXPECT_EQ(target.state(), state);
        }
    }
}

TEST(MigrationTarget, NoChannelRunsBeforeTheClientHasMoved) {
    Target target;
    const auto linked = target.channel_linked(0);
    ASSERT_TRUE(linked);
    EXPECT_TRUE(std::holds_alternative<Target::Park>(linked->front()));
    const auto moved = target.migrate_end();
    ASSERT_EQ(moved->size(), 3u);
    EXPECT_TRUE(std::holds_alternative<Target::SendInit>((*moved)[0]));
    EXPECT_FALSE(std::get<Target::ConnectParked>((*moved)[1]).expects_data);
}

TEST(MigrationTarget, ANewerProtocolIsAnsweredWithNack) {
    Target target;
    const auto answer = target.do_seamless(Target::kProtocolVersion + 1);
    ASSERT_TRUE(answer);
    EXPECT_TRUE(std::holds_alternative<Target::SendNack>(answer->front()));
    EXPECT_EQ(target.state(), State::parked);
    EXPECT_TRUE(target.migrate_end()) << "it goes on semi-seamlessly";
}

// Seen under load: the sockets of display and inputs came to the home thread after the main
// channel's MIGRATE_DATA, and their own data was refused.
TEST(MigrationTarget, AStateThatOvertakesItsChannelIsStillAwaitedThere) {
    Target target;
    EXPECT_TRUE(target.do_seamless(1));
    EXPECT_TRUE(target.state_came());
    const auto overtaken = target.channel_linked(0, true);
    EXPECT_TRUE(std::get<Target::Connect>(overtaken->front()).expects_data);
    const auto new_one = target.channel_linked(0, false);
    EXPECT_FALSE(std::get<Target::Connect>(new_one->front()).expects_data);
}

// A line that stood still for longer than the bound: the client stays, whatever its state is worth.
TEST(MigrationTarget, AStateBehindItsBoundEndsNothing) {
    Target target;
    EXPECT_TRUE(target.do_seamless(1));
    EXPECT_TRUE(target.late());
    const auto came = target.state_came();
    ASSERT_TRUE(came);
    EXPECT_TRUE(came->empty());
    EXPECT_EQ(target.state(), State::settled);
}

TEST(MigrationTarget, ParkedChannelsAreBounded) {
    Target target;
    EXPECT_TRUE(target.channel_linked(Target::kMostParked - 1));
    EXPECT_EQ(target.channel_linked(Target::kMostParked).error().code, ErrorCode::limit_exceeded);
}

}  // namespace
}  // namespace segue::spice::server
