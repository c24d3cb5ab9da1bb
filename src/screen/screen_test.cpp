// SPDX-License-Identifier: LGPL-2.1-or-later
#include "screen/screen.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace segue::screen {
namespace {

bool has(const std::vector<Action>& actions, Verb verb) {
    return std::any_of(actions.begin(), actions.end(),
                       [&](const Action& each) { return each.verb == verb; });
}

const Action& only(const std::vector<Action>& actions, Verb verb) {
    for (const Action& each : actions) {
        if (each.verb == verb) return each;
    }
    ADD_FAILURE() << name_of(verb) << " is missing";
    static const Action none;
    return none;
}

// Up to the wait for the links.
Screen linking(Options options, int channels) {
    Screen screen(options);
    EXPECT_TRUE(has(screen.handle({Event::move}), Verb::ask_viewers));
    EXPECT_TRUE(has(screen.handle({Event::viewers_some, channels}), Verb::announce));
    EXPECT_EQ(only(screen.handle({Event::announced}), Verb::start_timer).delay, options.wait);
    EXPECT_EQ(screen.state(), State::linking);
    return screen;
}

TEST(Screen, DoesNotWaitWithoutAViewer) {
    Screen screen({});
    screen.handle({Event::move});
    EXPECT_TRUE(has(screen.handle({Event::viewers_none}), Verb::announce));
    const auto actions = screen.handle({Event::announced});
    EXPECT_TRUE(only(actions, Verb::ready).moving) << "QEMU says at once when there is nobody";
    EXPECT_EQ(screen.state(), State::unwatched);
    EXPECT_TRUE(has(screen.handle({Event::switched}), Verb::finished));
}

TEST(Screen, WaitsForEveryChannel) {
    Screen screen = linking({}, 3);
    EXPECT_FALSE(has(screen.handle({Event::channel_linked}), Verb::ready));
    EXPECT_FALSE(has(screen.handle({Event::channel_linked}), Verb::ready));
    const auto actions = screen.handle({Event::channel_linked});
    EXPECT_TRUE(only(actions, Verb::ready).moving);
    EXPECT_TRUE(has(actions, Verb::stop_timer));
    EXPECT_FALSE(has(actions, Verb::start_bulk));  // the stock library has no such thing
    screen.handle({Event::guest_stopped});
    EXPECT_EQ(screen.state(), State::going);
    EXPECT_TRUE(has(screen.handle({Event::switched}), Verb::finished));
}

Options ours() {
    Options options;
    options.our_library = true;
    return options;
}

TEST(Screen, OurLibraryEndsTheWait) {
    Screen screen = linking(ours(), 1);
    EXPECT_FALSE(has(screen.handle({Event::channel_linked}), Verb::ready))
        << "the viewer has not told the source yet";
    const auto actions = screen.handle({Event::clients_linked, 1});
    EXPECT_TRUE(only(actions, Verb::ready).moving);
    EXPECT_TRUE(has(actions, Verb::start_bulk));
    EXPECT_TRUE(has(actions, Verb::stop_timer));
    screen.handle({Event::bulk_taken});
    screen.handle({Event::guest_stopped});
    EXPECT_EQ(screen.state(), State::difference);
    screen.handle({Event::state_taken});
    EXPECT_EQ(screen.state(), State::going);
    EXPECT_TRUE(has(screen.handle({Event::timer_expired}), Verb::finished));
}

TEST(Screen, AGuestThatWasOnlyPausedIsOnItsWayAgain) {
    for (const bool taken : {false, true}) {
        Screen screen = linking(ours(), 1);
        screen.handle({Event::clients_linked, 1});
        screen.handle({Event::bulk_taken});
        screen.handle({Event::guest_stopped});
        if (taken) screen.handle({Event::state_taken});
        EXPECT_TRUE(has(screen.handle({Event::guest_resumed}), Verb::stop_timer));
        EXPECT_EQ(screen.state(), State::bulk);
        screen.handle({Event::guest_stopped});
        EXPECT_EQ(screen.state(), State::difference);
    }
}

TEST(Screen, TheLibraryMayBeQuickerThanQemusReply) {
    Screen screen(ours());
    screen.handle({Event::move});
    screen.handle({Event::viewers_some, 4});
    EXPECT_TRUE(has(screen.handle({Event::clients_linked, 1}), Verb::ready));
    EXPECT_TRUE(screen.handle({Event::announced}).empty());
    Screen nobody(ours());
    nobody.handle({Event::move});
    nobody.handle({Event::viewers_none});
    EXPECT_TRUE(has(nobody.handle({Event::clients_linked, 0}), Verb::ready));
    EXPECT_EQ(nobody.state(), State::unwatched);
}

TEST(Screen, AViewerThatComesWhileTheGuestMovesIsCarriedAlong) {
    Screen screen(ours());
    screen.handle({Event::move});
    screen.handle({Event::viewers_none});
    screen.handle({Event::announced});
    EXPECT_FALSE(has(screen.handle({Event::clients_linked, 0}), Verb::start_bulk));
    const auto actions = screen.handle({Event::clients_linked, 1});
    EXPECT_TRUE(has(actions, Verb::start_bulk));
    EXPECT_FALSE(has(actions, Verb::ready)) << "the guest is on its way already";
    EXPECT_EQ(screen.state(), State::bulk);
    EXPECT_TRUE(has(screen.handle({Event::clients_linked, 2}), Verb::start_bulk)) << "and another";
    screen.handle({Event::bulk_taken});
    screen.handle({Event::guest_stopped});
    EXPECT_EQ(screen.state(), State::difference);
}

TEST(Screen, ATargetWithoutOurLibraryIsToldNothing) {
    Screen screen = linking(ours(), 1);
    screen.handle({Event::clients_linked, 1});
    screen.handle({Event::guest_stopped});
    EXPECT_EQ(screen.state(), State::going);
}

TEST(Screen, ViewersThatCannotLinkAreNotWaitedFor) {
    Screen screen = linking(ours(), 2);
    const auto actions = screen.handle({Event::clients_linked, 0});
    EXPECT_TRUE(has(actions, Verb::note_unlinked));
    EXPECT_TRUE(only(actions, Verb::ready).moving) << "they are sent there at the end";
    EXPECT_EQ(screen.state(), State::alone);
    EXPECT_TRUE(has(screen.handle({Event::clients_linked, 1}), Verb::start_bulk))
        << "late, but in time for its state";
}

TEST(Screen, ALostLibraryLeavesTheChannels) {
    Screen screen = linking(ours(), 2);
    screen.handle({Event::channel_linked});
    EXPECT_FALSE(has(screen.handle({Event::library_lost}), Verb::ready));
    EXPECT_TRUE(has(screen.handle({Event::channel_linked}), Verb::ready));
    Screen other = linking(ours(), 1);
    other.handle({Event::channel_linked});
    EXPECT_TRUE(has(other.handle({Event::library_lost}), Verb::ready));
}

TEST(Screen, CountsChannelsThatAreFasterThanTheAnswer) {
    Screen screen({});
    screen.handle({Event::move});
    screen.handle({Event::viewers_some, 2});
    screen.handle({Event::channel_linked});
    screen.handle({Event::channel_linked});
    EXPECT_TRUE(only(screen.handle({Event::announced}), Verb::ready).moving);
}

TEST(Screen, HasABound) {
    Screen screen = linking({}, 4);
    screen.handle({Event::channel_linked});
    const auto actions = screen.handle({Event::timer_expired});
    EXPECT_EQ(only(actions, Verb::note_unlinked).channels, 3);
    EXPECT_TRUE(only(actions, Verb::ready).moving);
    EXPECT_EQ(screen.state(), State::alone);

    Options impatient;
    impatient.wait = {};
    Screen other(impatient);
    other.handle({Event::move});
    other.handle({Event::viewers_some, 4});
    EXPECT_TRUE(has(other.handle({Event::announced}), Verb::ready));
}

TEST(Screen, DoesNotWaitForWhoHasLeft) {
    Screen screen = linking({}, 4);
    screen.handle({Event::channel_linked});
    screen.handle({Event::channel_linked});
    EXPECT_TRUE(has(screen.handle({Event::viewer_left}), Verb::ask_viewers));
    EXPECT_TRUE(has(screen.handle({Event::viewers_some, 2}), Verb::ready));

    Screen empty = linking({}, 4);
    empty.handle({Event::viewer_left});
    EXPECT_TRUE(has(empty.handle({Event::viewers_none}), Verb::ready));
    EXPECT_EQ(empty.state(), State::unwatched);
}

TEST(Screen, FallsBack) {
    Screen screen({});
    screen.handle({Event::move});
    screen.handle({Event::viewers_some, 1});
    EXPECT_FALSE(only(screen.handle({Event::announce_failed}), Verb::ready).moving);

    Screen given_up = linking(ours(), 1);
    const auto actions = given_up.handle({Event::dropped});
    EXPECT_TRUE(has(actions, Verb::withdraw));
    EXPECT_FALSE(has(actions, Verb::ready));
    EXPECT_EQ(given_up.state(), State::staying);
}

// From every state the migration is told `ready`, finished, or was dropped: it never hangs.
TEST(Screen, EveryWaitHasAnEnd) {
    std::set<State> bounded = {State::linking, State::difference, State::going};
    for (int number = 0; number < kStates; ++number) {
        const State state = static_cast<State>(number);
        EXPECT_FALSE(name_of(state).empty());
        EXPECT_FALSE(meaning_of(state).empty());
        const bool last = state == State::done || state == State::staying;
        bool dropped = false;
        bool expires = false;
        for (const Row& row : rows()) {
            if (row.from != state) continue;
            EXPECT_FALSE(last);
            dropped = dropped || row.on == Event::dropped;
            expires = expires || row.on == Event::timer_expired;
        }
        EXPECT_EQ(expires, bounded.contains(state)) << name_of(state);
        EXPECT_TRUE(last || state == State::idle || dropped) << name_of(state);
    }
    // An event without a row is passed over.
    for (int number = 0; number < kEvents; ++number) {
        Screen screen({});
        const Event event = static_cast<Event>(number);
        EXPECT_EQ(screen.handle({event}).empty(), event != Event::move) << name_of(event);
    }
}

TEST(Screen, NoRowIsDead) {
    std::set<std::pair<State, Event>> closed;
    for (const Row& row : rows()) {
        EXPECT_FALSE(closed.contains({row.from, row.on}))
            << name_of(row.from) << " + " << name_of(row.on);
        if (row.when == Guard::always) closed.insert({row.from, row.on});
    }
}

}  // namespace
}  // namespace segue::screen
