// SPDX-License-Identifier: LGPL-2.1-or-later
// What the destination's machine remembers beside its state, and how its actions are filled in.
#include "migrate/destination.h"

#include <utility>

namespace segue::migrate {

namespace {

// What a record says about the state, when nothing else survived.
DestinationState state_of(const Record& record) {
    if (record.right == Right::refused) return DestinationState::promised;
    if (record.right != Right::taken) return DestinationState::prepared;
    return record.settled ? DestinationState::running : DestinationState::resuming;
}

// QEMU did not refuse: it did not answer, or nobody can say what.
bool answer_was_lost(const std::optional<Error>& cause) {
    return cause &&
           (cause->code == ErrorCode::timeout || cause->code == ErrorCode::connection_lost ||
            cause->code == ErrorCode::protocol);
}

}  // namespace

DestinationMachine::DestinationMachine(DestinationOptions options) : options_(std::move(options)) {
    record_.id = options_.id;
    record_.role = Role::destination;
    record_.protocol = options_.protocol;
    record_.domain = options_.domain;
    record_.domain_name = options_.domain_name;
    record_.incarnation = options_.incarnation;
    record_.peer_to_peer = options_.peer_to_peer;
    record_.peer_host = options_.source_host;
    record_.run_guest = options_.run_guest;
    record_.flags = options_.flags;
    // A v2 source shows what it knows only when it links: after a crash it is assumed to know.
    source_may_ask_ = options_.protocol == Protocol::version3 && options_.source_has_right;
    record_.peer_has_right = options_.protocol == Protocol::version2 || options_.source_has_right;
}

DestinationMachine DestinationMachine::restored(const Record& record, bool guest_alive) {
    DestinationOptions options;
    options.protocol = record.protocol;
    options.id = record.id;
    options.domain = record.domain;
    options.domain_name = record.domain_name;
    options.incarnation = record.incarnation;
    options.source_host = record.peer_host;
    options.peer_to_peer = record.peer_to_peer;
    options.run_guest = record.run_guest;
    options.source_has_right = record.peer_has_right;
    DestinationMachine machine(std::move(options));
    machine.record_ = record;
    machine.source_may_ask_ = record.peer_has_right;
    machine.guest_gone_ = !guest_alive;
    machine.client_gone_ = true;
    machine.restore_state(state_of(record));
    machine.resumed_before_ = machine.state() == DestinationState::resuming;
    return machine;
}

bool DestinationMachine::key_fits(const Uuid& id, const PeerKey& key) const {
    std::uint8_t difference = 0;
    for (std::size_t at = 0; at < key.size(); ++at)
        difference |= key[at] ^ record_.peer.key[at];
    return record_.peer.present() && id == record_.id && difference == 0;
}

std::vector<std::span<const DestinationTypes::TableRow>> DestinationMachine::rows() const {
    return {options_.protocol == Protocol::version2 ? destination_rows_version2()
                                                    : destination_rows_version3(),
            destination_rows_shared()};
}

std::span<const Late<DestinationEvent>> DestinationMachine::late_rules() const {
    return destination_late_rules();
}

Error DestinationMachine::refusal(const Late<DestinationEvent>& rule) const {
    return {rule.code, fmt::format("domain '{}': {} (phase {}, step {})", record_.domain_name,
                                   rule.why, name_of(phase()), step_name(state()))};
}

bool DestinationMachine::right_fits(const DestinationInput& input) const {
    return input.right && key_fits(input.right->id, input.right->key);
}

bool DestinationMachine::holds(DestinationGuard guard, const DestinationInput& input) const {
    const bool right = !source_may_ask_ || right_here_ || right_fits(input);
    switch (guard) {
        case DestinationGuard::always: return true;
        case DestinationGuard::offline: return options_.offline;
        case DestinationGuard::client_gone: return client_gone_;
        case DestinationGuard::finish_open: return call_ == DestinationCall::finish;
        case DestinationGuard::has_right: return right;
        case DestinationGuard::has_right_and_state: return right && loaded_;
        case DestinationGuard::source_may_ask: return source_may_ask_;
        case DestinationGuard::source_is_stock: return !source_may_ask_;
        case DestinationGuard::nothing_owed:
            return !source_may_ask_ && (client_gone_ || call_ == DestinationCall::finish);
        case DestinationGuard::guest_gone: return guest_gone_;
        case DestinationGuard::may_have_run: return resumed_before_ || answer_was_lost(input.cause);
    }
    return false;
}

void DestinationMachine::learn(const DestinationInput& input) {
    switch (input.event) {
        case DestinationEvent::prepare_called:
            call_ = DestinationCall::prepare;
            record_.peer = input.peer;
            break;
        case DestinationEvent::finish_succeeded:
            call_ = DestinationCall::finish;
            record_.definition = input.definition;
            break;
        case DestinationEvent::finish_cancelled: call_ = DestinationCall::finish; break;
        case DestinationEvent::client_closed:
            call_ = DestinationCall::none;
            client_gone_ = true;
            break;
        case DestinationEvent::peer_linked: source_may_ask_ = true; break;
        case DestinationEvent::peer_cancels:
        case DestinationEvent::peer_released: source_may_ask_ = false; break;
        case DestinationEvent::loaded: loaded_ = true; break;
        case DestinationEvent::qemu_exited: guest_gone_ = true; break;
        default: break;
    }
    if (right_fits(input)) {
        right_here_ = true;
        record_.run_guest = options_.run_guest && input.right->run_guest;
    }
    learn_cause(input);
}

// The first cause is the one a user is told, except that Finish(cancelled) wants libvirt's marker
// "aborted as you wished" unless QEMU itself had something to say: with the marker the client shows
// what the source said, which knows why where QEMU here only says that loading failed.
void DestinationMachine::learn_cause(const DestinationInput& input) {
    const Error fitting = default_cause(input.event);
    if (fitting.message.empty()) return;
    const bool cancelled = input.event == DestinationEvent::finish_cancelled;
    if (cause_ && (!cancelled || cause_of_qemu_)) return;
    cause_ = input.cause.value_or(fitting);
    cause_of_qemu_ = input.cause && (input.event == DestinationEvent::qemu_exited ||
                                     input.event == DestinationEvent::load_failed ||
                                     input.event == DestinationEvent::resume_failed);
}

void DestinationMachine::entered(DestinationState to) {
    switch (to) {
        case DestinationState::taking: record_.right = Right::taken; break;
        case DestinationState::refusing:
            record_.right = Right::refused;
            record_.definition.clear();
            break;
        case DestinationState::running:
            record_.settled = true;
            record_.definition.clear();
            break;
        default: break;
    }
    record_.phase = phase_of(to);
}

std::optional<DestinationAction> DestinationMachine::fill(DestinationVerb verb) {
    DestinationAction action;
    action.verb = verb;
    switch (verb) {
        case DestinationVerb::reply_ok:
        case DestinationVerb::reply_error: return reply(verb);
        case DestinationVerb::resume_guest: action.run = record_.run_guest; break;
        case DestinationVerb::end_job:
            if (record_.right != Right::taken || guest_gone_) action.error = cause_;
            break;
        default: break;
    }
    action.record = record_;
    return action;
}

std::optional<DestinationAction> DestinationMachine::reply(DestinationVerb verb) {
    if (call_ == DestinationCall::none) return std::nullopt;
    DestinationAction action;
    action.verb = verb;
    action.call = std::exchange(call_, DestinationCall::none);
    action.record = record_;
    if (verb == DestinationVerb::reply_error) {
        action.error = cause_.value_or(
            Error{ErrorCode::operation_failed, "job 'migration in' failed unexpectedly"});
    }
    return action;
}

Error DestinationMachine::default_cause(DestinationEvent event) const {
    switch (event) {
        case DestinationEvent::finish_cancelled:
            return {ErrorCode::migrate_finish_ok, "migration successfully aborted"};
        case DestinationEvent::finish_succeeded:
            if (options_.offline || !source_may_ask_ || right_here_) return {};
            return {ErrorCode::operation_failed,
                    fmt::format("Finish for domain '{}' came without the right to run of migration "
                                "{}: pass Perform's cookie on unchanged",
                                record_.domain_name, record_.id.text())};
        case DestinationEvent::client_closed:
            return {ErrorCode::cancelled,
                    "job 'migration in' canceled: the connection of its client is gone"};
        case DestinationEvent::peer_asks:
            return {ErrorCode::operation_failed,
                    "the source took the migration back before Finish was called"};
        case DestinationEvent::peer_cancels:
            return {ErrorCode::operation_failed, "the source gave the migration up"};
        case DestinationEvent::record_failed:
            return {ErrorCode::operation_failed,
                    "the migration record could not be stored: free space in the state directory"};
        case DestinationEvent::timer_expired:
            return {ErrorCode::timeout,
                    fmt::format("the state of domain '{}' was not loaded within {} s of Finish",
                                record_.domain_name, to_ms(kLoadBound) / 1000)};
        case DestinationEvent::incoming_failed:
            return {ErrorCode::operation_failed, "the incoming QEMU could not be started"};
        case DestinationEvent::load_failed:
            return {ErrorCode::operation_failed,
                    "job 'migration in' failed: QEMU could not load the state"};
        case DestinationEvent::resume_failed:
            return {ErrorCode::operation_failed, "QEMU refused to resume the guest"};
        case DestinationEvent::qemu_exited:
            return {ErrorCode::operation_failed, "guest unexpectedly quit"};
        case DestinationEvent::restarted:
            if (record_.right == Right::taken) return {};
            return {ErrorCode::operation_failed,
                    "the destination's daemon was restarted before it held the right to run"};
        default: return {};
    }
}

DestinationAction DestinationMachine::stop_timer() const {
    DestinationAction action;
    action.verb = DestinationVerb::stop_timer;
    return action;
}

DestinationAction DestinationMachine::start_timer(Duration bound) const {
    DestinationAction action;
    action.verb = DestinationVerb::start_timer;
    action.delay = bound;
    return action;
}

DestinationAction DestinationMachine::enter_phase(Phase phase) const {
    DestinationAction action;
    action.verb = DestinationVerb::enter_phase;
    action.phase = phase;
    return action;
}

Phase DestinationMachine::phase_of(DestinationState state) const {
    return destination_phase(state, options_.protocol);
}

Duration DestinationMachine::bound_of(DestinationState state) const {
    if (rearms(state)) return kStoreAgain;
    return state == DestinationState::finishing ? kLoadBound : Duration{};
}

std::string_view DestinationMachine::step_name(DestinationState state) {
    return destination_states()[static_cast<std::size_t>(state)].name;
}

}  // namespace segue::migrate
