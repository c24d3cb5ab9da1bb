// SPDX-License-Identifier: LGPL-2.1-or-later
// The shape of a state machine as a table. A machine looks an event up in its rows, first match
// wins; when no row matches, the event's own late rule says whether it is refused (with a named
// error) or passed over (with the reason). So each (state, event) pair has exactly one answer, and
// the documents are generated from the same rows.
#pragma once

#include <array>
#include <cstddef>
#include <initializer_list>
#include <span>
#include <string_view>

#include "base/error.h"

namespace segue::migrate {

// How many actions one row may ask for.
inline constexpr std::size_t kMostVerbs = 9;

template <class State, class Event, class Guard, class Verb>
struct Row {
    State from;
    Event on;
    Guard when;
    State to;
    std::array<Verb, kMostVerbs> verbs{};
    std::size_t verb_count = 0;

    constexpr Row(State from_state, Event event, Guard guard, State to_state,
                  std::initializer_list<Verb> list)
        : from(from_state), on(event), when(guard), to(to_state) {
        for (Verb verb : list)
            verbs[verb_count++] = verb;
    }
    constexpr std::span<const Verb> actions() const { return {verbs.data(), verb_count}; }
};

// What happens to an event that no row of the present state wants.
template <class Event>
struct Late {
    Event on;
    bool refused;    // false: passed over
    ErrorCode code;  // of the refusal
    std::string_view why;
};

template <class Value>
struct Named {
    Value value;
    std::string_view name;
    std::string_view meaning;
};

}  // namespace segue::migrate
