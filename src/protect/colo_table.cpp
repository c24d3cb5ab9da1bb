// SPDX-License-Identifier: LGPL-2.1-or-later
#include "protect/colo_table.h"

#include <array>

namespace segue::colo {
namespace {

constexpr bool applies(Mode row, Mode mode) {
    return (static_cast<int>(row) & static_cast<int>(mode)) != 0;
}

// The place of the primary's messages within one checkpoint; the secondary's have the places
// between.
int place_of(Event event) {
    switch (event) {
        case Event::message_ready: return 0;
        case Event::message_request: return 1;
        case Event::message_reply: return 2;
        case Event::message_send: return 3;
        case Event::message_size: return 4;
        case Event::message_received: return 5;
        case Event::message_loaded: return 6;
        default: return -1;
    }
}
bool is_sent_by_primary(Event event) {
    return event == Event::message_request || event == Event::message_send ||
           event == Event::message_size;
}

// The place of the last message that this state has behind it.
int place_of(Secondary state) {
    switch (state) {
        case Secondary::idle:
        case Secondary::synchronising:
        case Secondary::committing_first:
        case Secondary::relinking:
        case Secondary::awaiting_request: return 0;
        case Secondary::suspending: return 1;
        case Secondary::awaiting_send: return 2;
        case Secondary::receiving_pages: return 3;
        case Secondary::receiving_state:
        case Secondary::committing:
        case Secondary::committing_lost: return 4;
        case Secondary::loading: return 5;
        case Secondary::resuming: return 6;
        case Secondary::lost:
        case Secondary::promoting:
        case Secondary::promoted: return 7;
    }
    return 7;
}
int place_of(Primary state) {
    switch (state) {
        case Primary::unprotected:
        case Primary::synchronising:
        case Primary::awaiting_ready: return -1;
        case Primary::running: return 0;
        case Primary::awaiting_reply: return 1;
        case Primary::suspending: return 2;
        case Primary::sending: return 3;
        case Primary::awaiting_received: return 4;
        case Primary::awaiting_loaded: return 5;
        case Primary::resuming: return 6;
    }
    return 7;
}

bool is_fenced(Secondary state) {
    return state == Secondary::promoting || state == Secondary::promoted;
}
bool is_fenced(Primary) {
    return false;
}
bool has_no_link(Secondary state) {
    return state == Secondary::idle || state == Secondary::lost ||
           state == Secondary::committing_lost;
}
bool has_no_link(Primary state) {
    return state == Primary::unprotected;
}

template <class State>
Answer<State> find(std::span<const Row<State>> table, State state, Event event, Mode mode) {
    bool in_other_mode = false;
    for (const Row<State>& row : table) {
        if (row.from != state || row.event != event) continue;
        if (applies(row.mode, mode)) return {&row, Refusal::none};
        in_other_mode = true;
    }
    constexpr bool kIsPrimary = std::is_same_v<State, Primary>;
    if (is_fenced(state) && event <= Event::connected) return {nullptr, Refusal::fenced};
    if (event == Event::message_unknown) return {nullptr, Refusal::unknown_message};
    const int place = place_of(event);
    if (place < 0) return {nullptr, in_other_mode ? Refusal::other_mode : Refusal::not_now};
    if (is_sent_by_primary(event) == kIsPrimary) return {nullptr, Refusal::wrong_direction};
    if (has_no_link(state)) return {nullptr, Refusal::not_now};
    return {nullptr, place > place_of(state) ? Refusal::early_message : Refusal::late_message};
}

}  // namespace

Answer<Secondary> answer(Secondary state, Event event, Mode mode) {
    return find(secondary_table(), state, event, mode);
}
Answer<Primary> answer(Primary state, Event event, Mode mode) {
    return find(primary_table(), state, event, mode);
}

std::optional<Duration> limit_of(Secondary state, const Limits& limits) {
    switch (state) {
        case Secondary::relinking:
        case Secondary::synchronising: return limits.first_state_silence;
        case Secondary::awaiting_request: return limits.request;
        case Secondary::awaiting_send: return limits.message;
        case Secondary::receiving_pages:
        case Secondary::receiving_state: return limits.state_silence;
        case Secondary::committing_first:
        case Secondary::committing:
        case Secondary::committing_lost: return limits.commit;
        case Secondary::suspending:
        case Secondary::loading:
        case Secondary::resuming: return limits.vm;
        case Secondary::promoting: return limits.promotion;
        case Secondary::idle:
        case Secondary::lost:
        case Secondary::promoted: return std::nullopt;
    }
    return std::nullopt;
}

std::optional<Duration> limit_of(Primary state, const Limits& limits) {
    switch (state) {
        case Primary::synchronising: return limits.first_state_silence;
        case Primary::awaiting_ready:
        case Primary::awaiting_reply:
        case Primary::awaiting_received:
        case Primary::awaiting_loaded: return limits.message;
        case Primary::sending: return limits.state_silence;
        case Primary::suspending:
        case Primary::resuming: return limits.vm;
        case Primary::unprotected:
        case Primary::running: return std::nullopt;
    }
    return std::nullopt;
}

Event event_of(ColoMessage message) {
    const auto number = static_cast<std::uint32_t>(message);
    return number < kColoMessages ? static_cast<Event>(number) : Event::message_unknown;
}

std::string refusal_text(std::string_view state, Event event, Refusal refusal) {
    return fmt::format("checkpoint protocol: {} {} while {}", name_of(refusal), name_of(event),
                       state);
}

}  // namespace segue::colo
