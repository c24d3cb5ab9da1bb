// SPDX-License-Identifier: LGPL-2.1-or-later
// The names that logs, errors and docs/colo.md use.
#include "protect/colo_table.h"

namespace segue::colo {

std::string_view name_of(Event event) {
    switch (event) {
        case Event::message_ready: return "checkpoint-ready";
        case Event::message_request: return "checkpoint-request";
        case Event::message_reply: return "checkpoint-reply";
        case Event::message_send: return "vmstate-send";
        case Event::message_size: return "vmstate-size";
        case Event::message_received: return "vmstate-received";
        case Event::message_loaded: return "vmstate-loaded";
        case Event::message_unknown: return "unknown message";
        case Event::connected: return "connected";
        case Event::head_read: return "stream begins";
        case Event::first_state_whole: return "first state whole";
        case Event::checkpoint_due: return "checkpoint due";
        case Event::difference: return "difference";
        case Event::suspended: return "suspended";
        case Event::state_whole: return "state whole";
        case Event::committed: return "committed";
        case Event::loaded: return "loaded";
        case Event::resumed: return "resumed";
        case Event::link_lost: return "link lost";
        case Event::time_up: return "time up";
        case Event::promote: return "promote";
        case Event::promotion_done: return "promotion done";
        case Event::promotion_failed: return "promotion failed";
    }
    return "?";
}

std::string_view name_of(Action action) {
    switch (action) {
        case Action::send_first_state: return "send first state";
        case Action::send_ready: return "send checkpoint-ready";
        case Action::send_request: return "send checkpoint-request";
        case Action::send_reply: return "send checkpoint-reply";
        case Action::send_state: return "send vmstate-send and state";
        case Action::send_received: return "send vmstate-received";
        case Action::send_loaded: return "send vmstate-loaded";
        case Action::suspend_vm: return "suspend VM";
        case Action::resume_vm: return "resume VM";
        case Action::load_vm: return "load VM";
        case Action::start_comparing: return "start comparing";
        case Action::pass_output: return "pass output";
        case Action::hold_output: return "hold output";
        case Action::seal_output: return "seal output";
        case Action::commit: return "commit";
        case Action::release_output: return "release output";
        case Action::discard_stage: return "discard stage";
        case Action::drop_link: return "drop link";
        case Action::refuse_link: return "refuse link";
        case Action::tell_protected: return "tell protected";
        case Action::tell_checkpoint: return "tell checkpoint";
        case Action::tell_lost: return "tell lost";
        case Action::lose_peer: return "lose peer";
        case Action::promote_vm: return "promote VM";
    }
    return "?";
}

std::string_view name_of(Refusal refusal) {
    switch (refusal) {
        case Refusal::none: return "none";
        case Refusal::unknown_message: return "unknown message:";
        case Refusal::wrong_direction: return "wrong direction:";
        case Refusal::early_message: return "early message:";
        case Refusal::late_message: return "late message:";
        case Refusal::not_now: return "not possible now:";
        case Refusal::fenced: return "refused, the standby has taken over:";
        case Refusal::other_mode: return "not in this mode:";
    }
    return "?";
}

std::string_view name_of(Secondary state) {
    switch (state) {
        case Secondary::idle: return "idle";
        case Secondary::synchronising: return "synchronising";
        case Secondary::committing_first: return "committing-first";
        case Secondary::awaiting_request: return "awaiting-request";
        case Secondary::suspending: return "suspending";
        case Secondary::awaiting_send: return "awaiting-send";
        case Secondary::receiving_pages: return "receiving-pages";
        case Secondary::receiving_state: return "receiving-state";
        case Secondary::committing: return "committing";
        case Secondary::committing_lost: return "committing-lost";
        case Secondary::loading: return "loading";
        case Secondary::resuming: return "resuming";
        case Secondary::lost: return "lost";
        case Secondary::relinking: return "relinking";
        case Secondary::promoting: return "promoting";
        case Secondary::promoted: return "promoted";
    }
    return "?";
}

std::string_view name_of(Primary state) {
    switch (state) {
        case Primary::unprotected: return "unprotected";
        case Primary::synchronising: return "synchronising";
        case Primary::awaiting_ready: return "awaiting-ready";
        case Primary::resuming: return "resuming";
        case Primary::running: return "running";
        case Primary::awaiting_reply: return "awaiting-reply";
        case Primary::suspending: return "suspending";
        case Primary::sending: return "sending";
        case Primary::awaiting_received: return "awaiting-received";
        case Primary::awaiting_loaded: return "awaiting-loaded";
    }
    return "?";
}

}  // namespace segue::colo
