// SPDX-License-Identifier: LGPL-2.1-or-later
// One running machine over a table of colo_table.h.
#pragma once

#include "protect/colo_table.h"

namespace segue::colo {

template <class State>
class Machine {
  public:
    Machine(State state, Mode mode) : state_(state), mode_(mode) {}

    State state() const { return state_; }
    Mode mode() const { return mode_; }
    // What would happen; nothing changes.
    Answer<State> ask(Event event) const { return answer(state_, event, mode_); }
    // Moves, and returns what the owner must do, in this order. Error protocol: the named refusal;
    // the state stays.
    Result<std::vector<Action>> tell(Event event) {
        const Answer<State> found = ask(event);
        if (found.row == nullptr) {
            return fail(ErrorCode::protocol, "{}",
                        refusal_text(name_of(state_), event, found.refusal));
        }
        state_ = found.row->to;
        return found.row->actions;
    }

  private:
    State state_;
    Mode mode_;
};

}  // namespace segue::colo
