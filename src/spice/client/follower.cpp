// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/client/follower.h"

#include <array>
#include <initializer_list>

namespace segue::spice::client {
namespace {

using State = FollowerState;
using Event = FollowerEvent;
using Action = FollowerAction;
using enum FollowerAction;

struct Row {
    State state;
    Event event;
    State next;
    std::array<Action, 5> actions{};
    std::size_t action_count = 0;

    Row(State from, Event on, State to, std::initializer_list<Action> list)
        : state(from), event(on), next(to) {
        for (const Action action : list)
            actions[action_count++] = action;
    }
};

const std::array kRows = {
    Row{State::starting, Event::session_up, State::settled, {report_connected}},
    Row{State::starting, Event::session_failed, State::over, {report_over}},
    // The server has begun the session: it was there, and is waited for like any other.
    Row{State::starting, Event::source_lost, State::reconnecting, {report_lost, start_retry}},
    Row{State::starting, Event::switch_host, State::relinking, {report_switch, open_fresh}},

    Row{State::settled, Event::session_up, State::settled, {}},
    Row{State::settled,
        Event::begin,
        State::linking_semi,
        {report_begin, start_patience, open_target}},
    Row{State::settled,
        Event::begin_seamless,
        State::linking_seamless,
        {report_begin, start_patience, open_target}},
    Row{State::settled, Event::switch_host, State::relinking, {report_switch, open_fresh}},
    Row{State::settled, Event::source_lost, State::reconnecting, {report_lost, start_retry}},

    // A target that is only announced does not have the machine, and lets us in all the same: who
    // loses the source looks for it again, in every state up to the switchover.
    // A second announcement replaces the first. No CONNECT_ERROR for the first one: the source
    // would take it for the answer to the second.
    Row{State::linking_semi,
        Event::begin,
        State::linking_semi,
        {close_target, stop_retry, report_begin, start_patience, open_target}},
    Row{State::linking_semi,
        Event::begin_seamless,
        State::linking_seamless,
        {close_target, stop_retry, report_begin, start_patience, open_target}},
    Row{State::linking_semi,
        Event::target_ready,
        State::linked_semi,
        {stop_patience, say_connected, report_target_ready}},
    Row{State::linking_semi,
        Event::target_failed,
        State::linking_semi,
        {close_target, start_retry}},
    Row{State::linking_semi, Event::retry_due, State::linking_semi, {open_target}},
    Row{State::linking_semi, Event::patience_over, State::linking_late, {say_error}},
    Row{State::linking_semi,
        Event::switch_host,
        State::relinking,
        {stop_patience, close_target, stop_retry, report_switch, open_fresh}},
    Row{State::linking_semi,
        Event::switch_host_here,
        State::switching,
        {stop_patience, stop_retry, report_switch, take_over}},
    Row{State::linking_semi,
        Event::cancel,
        State::settled,
        {stop_patience, close_target, stop_retry, report_cancelled}},
    Row{State::linking_semi,
        Event::source_lost,
        State::reconnecting,
        {stop_patience, close_target, report_lost, start_retry}},

    Row{State::linking_seamless,
        Event::begin,
        State::linking_semi,
        {close_target, stop_retry, report_begin, start_patience, open_target}},
    Row{State::linking_seamless,
        Event::begin_seamless,
        State::linking_seamless,
        {close_target, stop_retry, report_begin, start_patience, open_target}},
    Row{State::linking_seamless,
        Event::target_ready,
        State::linked_seamless,
        {stop_patience, say_seamless, report_target_ready}},
    Row{State::linking_seamless, Event::seamless_refused, State::linking_semi, {}},
    Row{State::linking_seamless,
        Event::target_failed,
        State::linking_seamless,
        {close_target, start_retry}},
    Row{State::linking_seamless, Event::retry_due, State::linking_seamless, {open_target}},
    Row{State::linking_seamless, Event::patience_over, State::linking_late, {say_error}},
    Row{State::linking_seamless,
        Event::switch_host,
        State::relinking,
        {stop_patience, close_target, stop_retry, report_switch, open_fresh}},
    Row{State::linking_seamless,
        Event::switch_host_here,
        State::switching,
        {stop_patience, stop_retry, report_switch, take_over}},
    Row{State::linking_seamless,
        Event::cancel,
        State::settled,
        {stop_patience, close_target, stop_retry, report_cancelled}},
    Row{State::linking_seamless,
        Event::source_lost,
        State::reconnecting,
        {stop_patience, close_target, report_lost, start_retry}},

    Row{State::linking_late,
        Event::begin,
        State::linking_semi,
        {close_target, stop_retry, report_begin, start_patience, open_target}},
    Row{State::linking_late,
        Event::begin_seamless,
        State::linking_seamless,
        {close_target, stop_retry, report_begin, start_patience, open_target}},
    Row{State::linking_late, Event::target_ready, State::linked_late, {report_target_ready}},
    Row{State::linking_late, Event::seamless_refused, State::linking_late, {}},
    Row{State::linking_late,
        Event::target_failed,
        State::linking_late,
        {close_target, start_retry}},
    Row{State::linking_late, Event::retry_due, State::linking_late, {open_target}},
    Row{State::linking_late,
        Event::channel_migrate,
        State::relinking,
        {close_target, stop_retry, report_switch, open_fresh}},
    Row{State::linking_late,
        Event::migrate_end,
        State::relinking,
        {close_target, stop_retry, report_switch, open_fresh}},
    Row{State::linking_late,
        Event::switch_host,
        State::relinking,
        {close_target, stop_retry, report_switch, open_fresh}},
    Row{State::linking_late,
        Event::switch_host_here,
        State::switching,
        {stop_retry, report_switch, take_over}},
    Row{State::linking_late,
        Event::cancel,
        State::settled,
        {close_target, stop_retry, report_cancelled}},
    Row{State::linking_late,
        Event::source_lost,
        State::reconnecting,
        {close_target, report_lost, start_retry}},

    Row{State::linked_semi,
        Event::begin,
        State::linking_semi,
        {close_target, report_begin, start_patience, open_target}},
    Row{State::linked_semi,
        Event::begin_seamless,
        State::linking_seamless,
        {close_target, report_begin, start_patience, open_target}},
    Row{State::linked_semi, Event::target_ready, State::linked_semi, {}},
    Row{State::linked_semi, Event::target_failed, State::linking_late, {close_target, start_retry}},
    Row{State::linked_semi, Event::migrate_end, State::switching, {report_switch, take_over}},
    Row{State::linked_semi,
        Event::switch_host,
        State::relinking,
        {close_target, report_switch, open_fresh}},
    Row{State::linked_semi, Event::switch_host_here, State::switching, {report_switch, take_over}},
    Row{State::linked_semi, Event::cancel, State::settled, {close_target, report_cancelled}},
    Row{State::linked_semi,
        Event::source_lost,
        State::reconnecting,
        {close_target, report_lost, start_retry}},

    Row{State::linked_seamless,
        Event::begin,
        State::linking_semi,
        {close_target, report_begin, start_patience, open_target}},
    Row{State::linked_seamless,
        Event::begin_seamless,
        State::linking_seamless,
        {close_target, report_begin, start_patience, open_target}},
    Row{State::linked_seamless, Event::target_ready, State::linked_seamless, {}},
    Row{State::linked_seamless,
        Event::target_failed,
        State::linking_late,
        {close_target, start_retry}},
    Row{State::linked_seamless,
        Event::channel_migrate,
        State::moving,
        {report_switch, move_channel}},
    // A target that promised to take the state cannot start anew on the same connection.
    Row{State::linked_seamless,
        Event::switch_host,
        State::relinking,
        {close_target, report_switch, open_fresh}},
    Row{State::linked_seamless, Event::cancel, State::settled, {close_target, report_cancelled}},
    Row{State::linked_seamless,
        Event::source_lost,
        State::reconnecting,
        {close_target, report_lost, start_retry}},

    Row{State::linked_late,
        Event::begin,
        State::linking_semi,
        {close_target, report_begin, start_patience, open_target}},
    Row{State::linked_late,
        Event::begin_seamless,
        State::linking_seamless,
        {close_target, report_begin, start_patience, open_target}},
    Row{State::linked_late, Event::target_ready, State::linked_late, {}},
    Row{State::linked_late, Event::target_failed, State::linking_late, {close_target, start_retry}},
    Row{State::linked_late,
        Event::channel_migrate,
        State::relinking,
        {close_target, report_switch, open_fresh}},
    Row{State::linked_late,
        Event::migrate_end,
        State::relinking,
        {close_target, report_switch, open_fresh}},
    Row{State::linked_late,
        Event::switch_host,
        State::relinking,
        {close_target, report_switch, open_fresh}},
    Row{State::linked_late, Event::switch_host_here, State::switching, {report_switch, take_over}},
    Row{State::linked_late, Event::cancel, State::settled, {close_target, report_cancelled}},
    Row{State::linked_late,
        Event::source_lost,
        State::reconnecting,
        {close_target, report_lost, start_retry}},

    Row{State::moving, Event::target_ready, State::moving, {}},
    Row{State::moving, Event::target_failed, State::relinking, {open_fresh}},
    Row{State::moving, Event::channel_migrate, State::moving, {move_channel}},
    Row{State::moving, Event::all_moved, State::settled, {adopt_target, report_done}},
    Row{State::moving, Event::switch_host, State::relinking, {open_fresh}},
    Row{State::moving, Event::cancel, State::settled, {stay, report_cancelled}},
    Row{State::moving, Event::source_lost, State::relinking, {open_fresh}},

    Row{State::switching, Event::session_up, State::settled, {report_done}},
    Row{State::switching, Event::session_failed, State::relinking, {open_fresh}},
    Row{State::switching,
        Event::begin,
        State::linking_semi,
        {report_done, report_begin, start_patience, open_target}},
    Row{State::switching,
        Event::begin_seamless,
        State::linking_seamless,
        {report_done, report_begin, start_patience, open_target}},
    Row{State::switching, Event::target_ready, State::switching, {}},
    Row{State::switching, Event::target_failed, State::relinking, {open_fresh}},
    Row{State::switching, Event::switch_host, State::relinking, {report_switch, open_fresh}},
    Row{State::switching, Event::source_lost, State::relinking, {open_fresh}},

    Row{State::relinking, Event::session_up, State::settled, {adopt_target, report_done}},
    Row{State::relinking, Event::session_failed, State::relinking, {start_retry}},
    Row{State::relinking, Event::source_lost, State::relinking, {start_retry}},
    Row{State::relinking, Event::retry_due, State::relinking, {open_fresh}},
    Row{State::relinking, Event::switch_host, State::relinking, {stop_retry, open_fresh}},
    Row{State::relinking, Event::give_up, State::over, {stop_retry, report_over}},

    Row{State::reconnecting, Event::session_up, State::settled, {report_connected}},
    Row{State::reconnecting, Event::session_failed, State::reconnecting, {start_retry}},
    Row{State::reconnecting, Event::source_lost, State::reconnecting, {start_retry}},
    Row{State::reconnecting, Event::retry_due, State::reconnecting, {open_fresh}},
    Row{State::reconnecting,
        Event::switch_host,
        State::relinking,
        {stop_retry, report_switch, open_fresh}},
    Row{State::reconnecting, Event::give_up, State::over, {stop_retry, report_over}},
};

bool is_announced(State state) {
    return state >= State::linking_semi && state <= State::linked_late;
}

// The name of the error for a pair that has no row.
Misstep misstep_of(State state, Event event) {
    if (state == State::over) return Misstep::session_over;
    switch (event) {
        case Event::session_up:
        case Event::session_failed:
        case Event::target_ready:
        case Event::seamless_refused:
        case Event::target_failed:
        case Event::retry_due:
        case Event::patience_over:
        case Event::all_moved:
        case Event::give_up: return Misstep::too_late;
        case Event::begin:
        case Event::begin_seamless:
            return state == State::moving ? Misstep::still_moving : Misstep::no_session;
        case Event::channel_migrate:
            if (state == State::linked_semi) return Misstep::wrong_manner;
            return is_announced(state) ? Misstep::not_linked : Misstep::no_migration;
        case Event::migrate_end:
            if (state == State::linked_seamless || state == State::moving)
                return Misstep::wrong_manner;
            return is_announced(state) ? Misstep::not_linked : Misstep::no_migration;
        default: return Misstep::no_migration;
    }
}

}  // namespace

FollowerStep follow(State state, Event event) {
    const bool is_final = event == Event::close || event == Event::sent_away;
    if (is_final && state != State::over) {
        return {State::over, Misstep::none, {stop_patience, stop_retry, close_target, report_over}};
    }
    for (const Row& row : kRows) {
        if (row.state != state || row.event != event) continue;
        return {
            row.next, Misstep::none, {row.actions.begin(), row.actions.begin() + row.action_count}};
    }
    return {state, misstep_of(state, event), {}};
}

std::string_view name_of(State state) {
    constexpr std::array<std::string_view, kFollowerStates> kNames = {
        "starting",    "settled",         "linking_semi", "linking_seamless", "linking_late",
        "linked_semi", "linked_seamless", "linked_late",  "moving",           "switching",
        "relinking",   "reconnecting",    "over"};
    return kNames[static_cast<std::size_t>(state)];
}

std::string_view name_of(Event event) {
    constexpr std::array<std::string_view, kFollowerEvents> kNames = {
        "session_up",    "session_failed",   "begin",         "begin_seamless",
        "target_ready",  "seamless_refused", "target_failed", "retry_due",
        "patience_over", "channel_migrate",  "all_moved",     "migrate_end",
        "switch_host",   "switch_host_here", "cancel",        "source_lost",
        "give_up",       "sent_away",        "close"};
    return kNames[static_cast<std::size_t>(event)];
}

std::string_view name_of(Misstep misstep) {
    switch (misstep) {
        case Misstep::none: return "none";
        case Misstep::no_migration: return "no_migration";
        case Misstep::not_linked: return "not_linked";
        case Misstep::wrong_manner: return "wrong_manner";
        case Misstep::too_late: return "too_late";
        case Misstep::still_moving: return "still_moving";
        case Misstep::no_session: return "no_session";
        case Misstep::session_over: return "session_over";
    }
    return "unknown";
}

}  // namespace segue::spice::client
