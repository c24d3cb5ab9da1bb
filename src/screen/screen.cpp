// SPDX-License-Identifier: LGPL-2.1-or-later
#include "screen/screen.h"

#include <algorithm>

namespace segue::screen {

// The guards see the input that is being counted.
bool Screen::holds(Guard guard, const Input& input) const {
    const int linked = linked_ + (input.event == Event::channel_linked ? 1 : 0);
    const int expected = input.event == Event::viewers_some ? input.channels : expected_;
    switch (guard) {
        case Guard::always: return true;
        case Guard::all_linked: return !options_.our_library && linked >= expected;
        case Guard::nobody: return expected == 0;
        case Guard::none_follows: return input.channels == 0;
        case Guard::state_carried: return carried_;
        case Guard::no_wait: return options_.wait == Duration{};
    }
    return false;
}

Duration Screen::bound_of(State state) const {
    switch (state) {
        case State::linking: return options_.wait;
        case State::difference: return std::min<Duration>(options_.switch_bound, 500ms);
        case State::going: return options_.switch_bound;
        default: return {};
    }
}

std::vector<Action> Screen::handle(const Input& input) {
    if (input.event == Event::library_lost) options_.our_library = false;
    const auto table = rows();
    const auto row = std::find_if(table.begin(), table.end(), [&](const Row& each) {
        return each.from == state_ && each.on == input.event && holds(each.when, input);
    });
    if (row == table.end()) return {};
    if (input.event == Event::viewers_some) expected_ = input.channels;
    if (input.event == Event::viewers_none) expected_ = 0;
    if (input.event == Event::channel_linked) ++linked_;
    if (input.event == Event::bulk_taken) carried_ = true;
    if (input.event == Event::timer_expired) timer_runs_ = false;

    std::vector<Action> actions;
    const bool moved = row->to != state_;
    state_ = row->to;
    if (moved && timer_runs_) {
        actions.push_back({Verb::stop_timer});
        timer_runs_ = false;
    }
    for (const Verb verb : row->verbs) {
        const bool is_for_library = verb == Verb::start_bulk || verb == Verb::withdraw;
        if (is_for_library && !options_.our_library) continue;
        Action action{verb};
        action.channels = std::max(0, expected_ - linked_);
        action.moving =
            state_ == State::bulk || state_ == State::alone || state_ == State::unwatched;
        actions.push_back(action);
    }
    if (const Duration bound = bound_of(state_); moved && bound > Duration{}) {
        Action timer{Verb::start_timer};
        timer.delay = bound;
        actions.push_back(timer);
        timer_runs_ = true;
    }
    return actions;
}

}  // namespace segue::screen
