// SPDX-License-Identifier: LGPL-2.1-or-later
// The interpreter that both machines share: look the row up, move, hand out the row's actions.
// `Derived` names its State, Event, Guard, Verb, Action, Input, and has: rows(), late(), holds(),
// learn(), entered(), fill(), phase_of(), bound_of() and the like.
#pragma once

#include <optional>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "migrate/phase.h"
#include "migrate/table.h"
#include "migrate/timeline.h"

namespace segue::migrate {

template <class Derived, class Types>
class Machine {
  public:
    using State = typename Types::State;
    using Event = typename Types::Event;
    using Verb = typename Types::Verb;
    using Action = typename Types::Action;
    using Input = typename Types::Input;
    using TableRow = typename Types::TableRow;

    // Feeds one event. The answer is either the actions to carry out in this order, or the named
    // error of a command that this state does not take: nothing has changed then.
    Result<std::vector<Action>> handle(const Input& input, Instant now) {
        const TableRow* row = find(input);
        if (row == nullptr) return late(input);
        if (input.event == Event::timer_expired) timer_runs_ = false;
        self().learn(input);
        std::vector<Action> actions;
        move(row->to, now, actions);
        for (Verb verb : row->actions()) {
            if (auto action = self().fill(verb)) actions.push_back(std::move(*action));
        }
        return actions;
    }

    // Whether such a command would be taken now, and the named error if not. Nothing changes.
    Result<> check(const Input& input) const {
        if (find(input) != nullptr) return {};
        return late(input).map([](const std::vector<Action>&) {});
    }

    State state() const { return state_; }
    Phase phase() const { return self().phase_of(state_); }
    const Timeline& timeline() const { return timeline_; }
    bool ended() const { return state_ == State::ended; }

  protected:
    void restore_state(State state) { state_ = state; }

  private:
    Derived& self() { return static_cast<Derived&>(*this); }
    const Derived& self() const { return static_cast<const Derived&>(*this); }

    const TableRow* find(const Input& input) const {
        for (std::span<const TableRow> part : self().rows()) {
            for (const TableRow& row : part) {
                if (row.from == state_ && row.on == input.event && self().holds(row.when, input)) {
                    return &row;
                }
            }
        }
        return nullptr;
    }

    Result<std::vector<Action>> late(const Input& input) const {
        for (const Late<Event>& rule : self().late_rules()) {
            if (rule.on != input.event) continue;
            if (!rule.refused) break;
            return tl::unexpected(self().refusal(rule));
        }
        return std::vector<Action>{};
    }

    void move(State to, Instant now, std::vector<Action>& actions) {
        const Phase before = self().phase_of(state_);
        const bool moved = to != state_;
        state_ = to;
        self().entered(to);
        if (moved && timer_runs_) {
            actions.push_back(self().stop_timer());
            timer_runs_ = false;
        }
        if (moved && to == State::ended) {
            timeline_.close(now);
        } else if (moved) {
            timeline_.enter(self().step_name(to), migrate::name_of(self().phase_of(to)), now);
        }
        if (self().phase_of(to) != before && self().phase_of(to) != Phase::none) {
            actions.push_back(self().enter_phase(self().phase_of(to)));
        }
        const Duration bound = self().bound_of(to);
        if (bound > Duration{} && (moved || self().rearms(to))) {
            actions.push_back(self().start_timer(bound));
            timer_runs_ = true;
        }
    }

    State state_ = State::idle;
    Timeline timeline_;
    bool timer_runs_ = false;
};

}  // namespace segue::migrate
