// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/client/follower.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "base/random.h"

namespace segue::spice::client {
namespace {

using State = FollowerState;
using Event = FollowerEvent;
using Action = FollowerAction;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

State state_at(std::size_t index) {
    return static_cast<State>(index);
}
Event event_at(std::size_t index) {
    return static_cast<Event>(index);
}
bool has(const FollowerStep& step, Action action) {
    return std::find(step.actions.begin(), step.actions.end(), action) != step.actions.end();
}

// Follows a list of events and collects the actions.
struct Walk {
    State state = State::settled;
    std::vector<Action> actions;

    Walk& on(Event event) {
        const FollowerStep step = follow(state, event);
        EXPECT_EQ(step.misstep, Misstep::none) << name_of(event) << " in " << name_of(state);
        state = step.next;
        actions.insert(actions.end(), step.actions.begin(), step.actions.end());
        return *this;
    }
};

TEST(FollowerTest, EveryPairIsATransitionOrANamedError) {
    for (std::size_t s = 0; s < kFollowerStates; ++s) {
        for (std::size_t e = 0; e < kFollowerEvents; ++e) {
            const FollowerStep step = follow(state_at(s), event_at(e));
            if (step.misstep == Misstep::none) continue;
            EXPECT_EQ(step.next, state_at(s));
            EXPECT_THAT(step.actions, IsEmpty());
            EXPECT_NE(name_of(step.misstep), "unknown");
        }
    }
}

// What each event leads to; what is not here is a named error. A change of the table shows here.
constexpr std::string_view kTable = R"(starting
  session_up -> settled
  session_failed -> over
  switch_host -> relinking
  source_lost -> reconnecting
  sent_away -> over
  close -> over
settled
  session_up -> settled
  begin -> linking_semi
  begin_seamless -> linking_seamless
  switch_host -> relinking
  source_lost -> reconnecting
  sent_away -> over
  close -> over
linking_semi
  begin -> linking_semi
  begin_seamless -> linking_seamless
  target_ready -> linked_semi
  target_failed -> linking_semi
  retry_due -> linking_semi
  patience_over -> linking_late
  switch_host -> relinking
  switch_host_here -> switching
  cancel -> settled
  source_lost -> reconnecting
  sent_away -> over
  close -> over
linking_seamless
  begin -> linking_semi
  begin_seamless -> linking_seamless
  target_ready -> linked_seamless
  seamless_refused -> linking_semi
  target_failed -> linking_seamless
  retry_due -> linking_seamless
  patience_over -> linking_late
  switch_host -> relinking
  switch_host_here -> switching
  cancel -> settled
  source_lost -> reconnecting
  sent_away -> over
  close -> over
linking_late
  begin -> linking_semi
  begin_seamless -> linking_seamless
  target_ready -> linked_late
  seamless_refused -> linking_late
  target_failed -> linking_late
  retry_due -> linking_late
  channel_migrate -> relinking
  migrate_end -> relinking
  switch_host -> relinking
  switch_host_here -> switching
  cancel -> settled
  source_lost -> reconnecting
  sent_away -> over
  close -> over
linked_semi
  begin -> linking_semi
  begin_seamless -> linking_seamless
  target_ready -> linked_semi
  target_failed -> linking_late
  migrate_end -> switching
  switch_host -> relinking
  switch_host_here -> switching
  cancel -> settled
  source_lost -> reconnecting
  sent_away -> over
  close -> over
linked_seamless
  begin -> linking_semi
  begin_seamless -> linking_seamless
  target_ready -> linked_seamless
  target_failed -> linking_late
  channel_migrate -> moving
  switch_host -> relinking
  cancel -> settled
  source_lost -> reconnecting
  sent_away -> over
  close -> over
linked_late
  begin -> linking_semi
  begin_seamless -> linking_seamless
  target_ready -> linked_late
  target_failed -> linking_late
  channel_migrate -> relinking
  migrate_end -> relinking
  switch_host -> relinking
  switch_host_here -> switching
  cancel -> settled
  source_lost -> reconnecting
  sent_away -> over
  close -> over
moving
  target_ready -> moving
  target_failed -> relinking
  channel_migrate -> moving
  all_moved -> settled
  switch_host -> relinking
  cancel -> settled
  source_lost -> relinking
  sent_away -> over
  close -> over
switching
  session_up -> settled
  session_failed -> relinking
  begin -> linking_semi
  begin_seamless -> linking_seamless
  target_ready -> switching
  target_failed -> relinking
  switch_host -> relinking
  source_lost -> relinking
  sent_away -> over
  close -> over
relinking
  session_up -> settled
  session_failed -> relinking
  retry_due -> relinking
  switch_host -> relinking
  source_lost -> relinking
  give_up -> over
  sent_away -> over
  close -> over
reconnecting
  session_up -> settled
  session_failed -> reconnecting
  retry_due -> reconnecting
  switch_host -> relinking
  source_lost -> reconnecting
  give_up -> over
  sent_away -> over
  close -> over
over
)";

TEST(FollowerTest, TheTable) {
    std::string table;
    for (std::size_t s = 0; s < kFollowerStates; ++s) {
        table += fmt::format("{}\n", name_of(state_at(s)));
        for (std::size_t e = 0; e < kFollowerEvents; ++e) {
            const FollowerStep step = follow(state_at(s), event_at(e));
            if (step.misstep != Misstep::none) continue;
            table += fmt::format("  {} -> {}\n", name_of(event_at(e)), name_of(step.next));
        }
    }
    EXPECT_EQ(table, kTable);
}

TEST(FollowerTest, OnlyAnOwnerAServerOrABoundEndsASession) {
    for (std::size_t s = 0; s < kFollowerStates; ++s) {
        for (std::size_t e = 0; e < kFollowerEvents; ++e) {
            const FollowerStep step = follow(state_at(s), event_at(e));
            if (step.next != State::over || state_at(s) == State::over) continue;
            const bool by_owner = event_at(e) == Event::close || event_at(e) == Event::give_up ||
                                  event_at(e) == Event::sent_away;
            EXPECT_TRUE(by_owner || state_at(s) == State::starting)
                << name_of(event_at(e)) << " in " << name_of(state_at(s));
            EXPECT_TRUE(has(step, Action::report_over));
        }
    }
    for (std::size_t e = 0; e < kFollowerEvents; ++e)
        EXPECT_EQ(follow(State::over, event_at(e)).misstep, Misstep::session_over);
}

TEST(FollowerTest, Seamless) {
    Walk walk;
    walk.on(Event::begin_seamless).on(Event::target_ready).on(Event::channel_migrate);
    EXPECT_EQ(walk.state, State::moving);
    walk.on(Event::channel_migrate).on(Event::all_moved);
    EXPECT_EQ(walk.state, State::settled);
    EXPECT_THAT(
        walk.actions,
        ElementsAre(Action::report_begin, Action::start_patience, Action::open_target,
                    Action::stop_patience, Action::say_seamless, Action::report_target_ready,
                    Action::report_switch, Action::move_channel, Action::move_channel,
                    Action::adopt_target, Action::report_done));
}

TEST(FollowerTest, SemiSeamless) {
    Walk walk;
    walk.on(Event::begin).on(Event::target_ready).on(Event::migrate_end).on(Event::session_up);
    EXPECT_EQ(walk.state, State::settled);
    EXPECT_THAT(
        walk.actions,
        ElementsAre(Action::report_begin, Action::start_patience, Action::open_target,
                    Action::stop_patience, Action::say_connected, Action::report_target_ready,
                    Action::report_switch, Action::take_over, Action::report_done));
}

TEST(FollowerTest, ARefusedSeamlessBecomesSemiSeamless) {
    Walk walk;
    walk.on(Event::begin_seamless).on(Event::seamless_refused).on(Event::target_ready);
    EXPECT_EQ(walk.state, State::linked_semi);
    EXPECT_EQ(walk.actions[walk.actions.size() - 2], Action::say_connected);
}

TEST(FollowerTest, AFailedTargetIsTriedAgainUntilThePatienceIsOver) {
    Walk walk;
    walk.on(Event::begin).on(Event::target_failed).on(Event::retry_due).on(Event::target_failed);
    EXPECT_EQ(walk.state, State::linking_semi);
    walk.on(Event::retry_due).on(Event::patience_over);
    EXPECT_EQ(walk.state, State::linking_late);
    // The source is told once; connections that come later are still used.
    walk.on(Event::target_ready).on(Event::switch_host_here).on(Event::session_up);
    EXPECT_EQ(walk.state, State::settled);
    EXPECT_EQ(std::count(walk.actions.begin(), walk.actions.end(), Action::say_error), 1);
    EXPECT_EQ(std::count(walk.actions.begin(), walk.actions.end(), Action::say_connected), 0);
}

TEST(FollowerTest, AQuickMachineOutrunsTheLinks) {
    Walk walk;
    walk.on(Event::begin_seamless).on(Event::switch_host).on(Event::session_failed);
    EXPECT_EQ(walk.state, State::relinking);
    walk.on(Event::retry_due).on(Event::session_up);
    EXPECT_EQ(walk.state, State::settled);
    EXPECT_TRUE(std::count(walk.actions.begin(), walk.actions.end(), Action::open_fresh) == 2);
}

TEST(FollowerTest, CancelAlwaysLeadsHomeAndDropsTheTarget) {
    for (const State state : {State::linking_semi, State::linking_seamless, State::linking_late,
                              State::linked_semi, State::linked_seamless, State::linked_late}) {
        const FollowerStep step = follow(state, Event::cancel);
        EXPECT_EQ(step.next, State::settled) << name_of(state);
        EXPECT_TRUE(has(step, Action::close_target));
        EXPECT_TRUE(has(step, Action::report_cancelled));
        EXPECT_FALSE(has(step, Action::adopt_target));
    }
}

// The machine still runs there: the target would let us in, and show nothing.
TEST(FollowerTest, ASourceThatIsLostBeforeTheSwitchoverIsLookedForAgain) {
    for (const State state :
         {State::settled, State::linking_semi, State::linking_seamless, State::linking_late,
          State::linked_semi, State::linked_seamless, State::linked_late}) {
        const FollowerStep step = follow(state, Event::source_lost);
        EXPECT_EQ(step.next, State::reconnecting) << name_of(state);
        EXPECT_TRUE(has(step, Action::report_lost)) << name_of(state) << ": nobody sees it";
        EXPECT_TRUE(has(step, Action::start_retry)) << name_of(state);
        EXPECT_EQ(has(step, Action::close_target), state != State::settled) << name_of(state);
    }
}

TEST(FollowerTest, ASourceThatIsLostBehindTheSwitchoverIsLeft) {
    for (const State state : {State::moving, State::switching}) {
        const FollowerStep step = follow(state, Event::source_lost);
        EXPECT_EQ(step.next, State::relinking) << name_of(state);
        EXPECT_FALSE(has(step, Action::report_lost)) << name_of(state);
    }
}

TEST(FollowerTest, AMoveThatIsTakenBackHalfWayCostsNoSession) {
    const FollowerStep step = follow(State::moving, Event::cancel);
    EXPECT_EQ(step.next, State::settled);
    EXPECT_TRUE(has(step, Action::stay));
    EXPECT_TRUE(has(step, Action::report_cancelled));
    EXPECT_FALSE(has(step, Action::report_lost));
}

TEST(FollowerTest, MessagesWithoutAnAnnouncementAreMissteps) {
    EXPECT_EQ(follow(State::settled, Event::migrate_end).misstep, Misstep::no_migration);
    EXPECT_EQ(follow(State::settled, Event::channel_migrate).misstep, Misstep::no_migration);
    EXPECT_EQ(follow(State::settled, Event::cancel).misstep, Misstep::no_migration);
    EXPECT_EQ(follow(State::linking_semi, Event::migrate_end).misstep, Misstep::not_linked);
    EXPECT_EQ(follow(State::linked_semi, Event::channel_migrate).misstep, Misstep::wrong_manner);
    EXPECT_EQ(follow(State::linked_seamless, Event::migrate_end).misstep, Misstep::wrong_manner);
    EXPECT_EQ(follow(State::moving, Event::begin).misstep, Misstep::still_moving);
    EXPECT_EQ(follow(State::starting, Event::begin).misstep, Misstep::no_session);
}

// The source takes a second answer for the answer to the next question.
TEST(FollowerTest, AnyWalkAnswersAnAnnouncementAtMostOnce) {
    SeededRandom random(2026);
    for (int run = 0; run < 200; ++run) {
        State state = State::settled;
        int answers = 0;
        std::set<Action> timers;
        for (int step_number = 0; step_number < 400; ++step_number) {
            const Event event = event_at(random.below(kFollowerEvents));
            if (event == Event::close || event == Event::give_up || event == Event::sent_away)
                continue;
            if (event == Event::patience_over && !timers.contains(Action::start_patience)) continue;
            const FollowerStep step = follow(state, event);
            state = step.next;
            for (const Action action : step.actions) {
                if (action == Action::report_begin) answers = 0;
                if (action == Action::start_patience) timers.insert(action);
                if (action == Action::stop_patience) timers.erase(Action::start_patience);
                if (action == Action::say_connected || action == Action::say_seamless ||
                    action == Action::say_error) {
                    ++answers;
                }
            }
            ASSERT_LE(answers, 1) << name_of(event) << " -> " << name_of(state);
        }
    }
}

}  // namespace
}  // namespace segue::spice::client
