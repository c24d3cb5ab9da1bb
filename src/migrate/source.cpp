// SPDX-License-Identifier: LGPL-2.1-or-later
// What the source's machine remembers beside its state, and how its actions are filled in.
#include "migrate/source.h"

#include <utility>

namespace segue::migrate {

namespace {

// What a record says about the state, when nothing else survived.
SourceState state_of(Right right) {
    switch (right) {
        case Right::held: return SourceState::transferring;
        case Right::given: return SourceState::given;
        case Right::taken: return SourceState::confirming;
        case Right::refused: return SourceState::returning;
        case Right::none: break;
    }
    return SourceState::idle;
}

}  // namespace

SourceMachine::SourceMachine(SourceOptions options) : options_(std::move(options)) {
    record_.id = options_.fallback_id;
    record_.role = Role::source;
    record_.protocol = options_.protocol;
    record_.domain = options_.domain;
    record_.domain_name = options_.domain_name;
    record_.incarnation = options_.incarnation;
    record_.right = Right::held;
    record_.peer_to_peer = options_.peer_to_peer;
    record_.run_guest = options_.run_guest;
    record_.flags = options_.flags;
}

SourceMachine SourceMachine::restored(const Record& record, bool guest_alive) {
    SourceOptions options;
    options.protocol = record.protocol;
    options.fallback_id = record.id;
    options.domain = record.domain;
    options.domain_name = record.domain_name;
    options.incarnation = record.incarnation;
    options.peer_to_peer = record.peer_to_peer;
    options.run_guest = record.run_guest;
    SourceMachine machine(std::move(options));
    machine.record_ = record;
    machine.guest_gone_ = !guest_alive;
    machine.restore_state(state_of(record.right));
    return machine;
}

std::vector<std::span<const SourceTypes::TableRow>> SourceMachine::rows() const {
    return {
        options_.protocol == Protocol::version2 ? source_rows_version2() : source_rows_version3(),
        source_rows_shared()};
}

std::span<const Late<SourceEvent>> SourceMachine::late_rules() const {
    return source_late_rules();
}

Error SourceMachine::refusal(const Late<SourceEvent>& rule) const {
    if (unresolved()) return unresolved_error();
    return {rule.code, fmt::format("domain '{}': {} (phase {}, step {})", record_.domain_name,
                                   rule.why, name_of(phase()), step_name(state()))};
}

bool SourceMachine::holds(SourceGuard guard, const SourceInput& input) const {
    switch (guard) {
        case SourceGuard::always: return true;
        case SourceGuard::cancel_wanted: return cancel_wanted_;
        case SourceGuard::offline: return options_.offline;
        case SourceGuard::peer_has_link: return input.offer && input.offer->peer.present();
        case SourceGuard::peer_has_right: return record_.peer_has_right;
        case SourceGuard::managed: return !options_.peer_to_peer;
        case SourceGuard::guest_gone: return guest_gone_;
        case SourceGuard::screen_moving: return screen_moving_;
        case SourceGuard::confirm_owed: return confirm_owed_;
    }
    return false;
}

// The first cause is the one a user is told.
void SourceMachine::learn(const SourceInput& input) {
    learn_call(input);
    switch (input.event) {
        case SourceEvent::screen_ready: screen_moving_ = input.screen_moving; return;
        case SourceEvent::screen_done: screen_moving_ = false; return;
        case SourceEvent::guest_suspended: record_.run_guest = false; return;
        case SourceEvent::qemu_exited:
            guest_gone_ = true;
            // Taken by the destination: the end of QEMU here is what was asked for, and no failure.
            if (record_.right == Right::taken) return;
            break;
        default: break;
    }
    const Error fitting = default_cause(input.event);
    if (fitting.message.empty()) return;
    if (!cause_) cause_ = input.cause.value_or(fitting);
    const bool before_given = state() == SourceState::begun || state() == SourceState::starting ||
                              state() == SourceState::giving;
    const bool copy_complete =
        state() == SourceState::giving && input.event == SourceEvent::qemu_exited;
    if (before_given && !copy_complete) cancel_wanted_ = true;
}

void SourceMachine::learn_call(const SourceInput& input) {
    switch (input.event) {
        case SourceEvent::begin_called: call_ = SourceCall::begin; return;
        case SourceEvent::perform_called:
            call_ = SourceCall::perform;
            if (input.offer) {
                record_.id = input.offer->id;
                record_.peer = input.offer->peer;
                record_.peer_host = input.offer->host;
                record_.peer_has_right = input.offer->peer.present();
            }
            return;
        case SourceEvent::perform_rejected: call_ = SourceCall::perform; return;
        case SourceEvent::confirm_succeeded:
        case SourceEvent::confirm_cancelled:
            call_ = SourceCall::confirm;
            confirm_owed_ = false;
            return;
        case SourceEvent::resolve_here:
        case SourceEvent::resolve_there: call_ = SourceCall::resolve; return;
        case SourceEvent::client_closed:
            if (call_ != SourceCall::resolve) call_ = SourceCall::none;
            confirm_owed_ = false;
            return;
        default: return;
    }
}

// What a record stored in this state says. A success has no cause, whatever was feared before.
void SourceMachine::entered(SourceState to) {
    switch (to) {
        case SourceState::giving: record_.right = Right::given; break;
        case SourceState::confirming:
            record_.right = Right::taken;
            cause_.reset();
            break;
        case SourceState::returning: record_.right = Right::refused; break;
        case SourceState::taking_back:
        case SourceState::resuming: record_.right = Right::held; break;
        default: break;
    }
    const bool gives = to == SourceState::giving;
    record_.phase = gives ? phase_of(SourceState::given) : phase_of(to);
}

std::optional<SourceAction> SourceMachine::fill(SourceVerb verb) {
    SourceAction action;
    action.verb = verb;
    switch (verb) {
        case SourceVerb::reply_ok:
        case SourceVerb::reply_error:
        case SourceVerb::reply_outcome: return reply(verb);
        case SourceVerb::resume_guest: action.run = record_.run_guest; break;
        case SourceVerb::report_unresolved: action.error = unresolved_error(); break;
        case SourceVerb::end_job: action.error = cause_; break;
        default: break;
    }
    action.record = record_;
    return action;
}

std::optional<SourceAction> SourceMachine::reply(SourceVerb verb) {
    if (call_ == SourceCall::none) return std::nullopt;
    SourceAction action;
    action.call = std::exchange(call_, SourceCall::none);
    action.record = record_;
    const bool wrong = verb == SourceVerb::reply_error ||
                       (verb == SourceVerb::reply_outcome && action.call == SourceCall::perform);
    action.verb = wrong ? SourceVerb::reply_error : SourceVerb::reply_ok;
    if (wrong) {
        action.error =
            unresolved()
                ? unresolved_error()
                : cause_.value_or(Error{ErrorCode::operation_failed, "job 'migration out' failed"});
    } else if (action.call == SourceCall::perform && options_.protocol == Protocol::version3) {
        confirm_owed_ = true;
    }
    return action;
}

Error SourceMachine::default_cause(SourceEvent event) const {
    switch (event) {
        case SourceEvent::cancel_asked:
            return {ErrorCode::cancelled, "job 'migration out' canceled by client"};
        case SourceEvent::perform_rejected:
            return {ErrorCode::operation_failed, "Perform was refused"};
        case SourceEvent::client_closed:
            return {ErrorCode::cancelled,
                    "job 'migration out' canceled: the connection of its client is gone"};
        case SourceEvent::peer_lost:
        case SourceEvent::timer_expired:
            // v3 goes on without a link, and a question without an answer is no cause.
            if (options_.protocol == Protocol::version3 || record_.right == Right::given) return {};
            return {ErrorCode::operation_failed,
                    fmt::format("the peer link to {} port {} cannot be used: open that port, or "
                                "migrate with protocol v3",
                                record_.peer.address, record_.peer.port)};
        case SourceEvent::confirm_cancelled: return given_up_cause();
        case SourceEvent::resolve_here:
            return {ErrorCode::operation_failed, "resolved by hand: the guest runs here"};
        case SourceEvent::restarted:
            if (record_.right != Right::held && record_.right != Right::refused) return {};
            return {ErrorCode::operation_failed, "the daemon was restarted during the migration"};
        case SourceEvent::peer_refused:
            return {ErrorCode::operation_failed,
                    fmt::format("{} gave up the incoming guest", destination_name())};
        case SourceEvent::record_failed:
            return {ErrorCode::operation_failed,
                    "the migration record could not be stored: free space in the state directory"};
        case SourceEvent::transfer_failed:
            return {ErrorCode::operation_failed, "job 'migration out' failed: QEMU gave no reason"};
        case SourceEvent::transfer_cancelled:
            return {ErrorCode::cancelled, "job 'migration out' canceled in QEMU"};
        case SourceEvent::resume_failed:
            return {ErrorCode::operation_failed,
                    fmt::format("domain '{}' could not be resumed after the migration failed: it "
                                "is paused, resume it",
                                record_.domain_name)};
        case SourceEvent::qemu_exited:
            return {ErrorCode::operation_failed,
                    fmt::format("domain '{}' is not running: its QEMU ended during the migration",
                                record_.domain_name)};
        default: return {};
    }
}

// Confirm says only that the client gave up, not why: in which state it comes tells what can have
// failed. Without a Perform nobody has told us the destination's name.
Error SourceMachine::given_up_cause() const {
    if (state() == SourceState::begun) {
        return {ErrorCode::operation_failed,
                options_.offline
                    ? "the migration was given up: Prepare or Finish failed on the destination, or "
                      "the client gave up"
                    : "the migration was given up before Perform: Prepare failed on the "
                      "destination, or the client gave up"};
    }
    return {ErrorCode::operation_failed,
            fmt::format("Finish failed on {}, or its reply was lost", destination_name())};
}

std::string SourceMachine::destination_name() const {
    return record_.peer_host.empty() ? "the destination" : "the destination " + record_.peer_host;
}

Error SourceMachine::unresolved_error() const {
    const std::string host = record_.peer_host.empty() ? "the destination" : record_.peer_host;
    return {ErrorCode::operation_failed,
            fmt::format("domain '{0}' is paused: it is not known whether it runs on {1}. If it "
                        "runs there: `segue resolve {0} --runs-there`; if it certainly does not "
                        "and never will: `segue resolve {0} --runs-here`",
                        record_.domain_name, host)};
}

SourceAction SourceMachine::stop_timer() const {
    SourceAction action;
    action.verb = SourceVerb::stop_timer;
    return action;
}

SourceAction SourceMachine::start_timer(Duration bound) const {
    SourceAction action;
    action.verb = SourceVerb::start_timer;
    action.delay = bound;
    return action;
}

SourceAction SourceMachine::enter_phase(Phase phase) const {
    SourceAction action;
    action.verb = SourceVerb::enter_phase;
    action.phase = phase;
    return action;
}

Phase SourceMachine::phase_of(SourceState state) const {
    return source_phase(state, options_.protocol);
}

Duration SourceMachine::bound_of(SourceState state) const {
    switch (state) {
        case SourceState::linking: return kLinkBound;
        case SourceState::handing: return kHandBound;
        case SourceState::given:
            return options_.protocol == Protocol::version2 ? kTakeBound : Duration{};
        case SourceState::asking: return kAskBound;
        case SourceState::unresolved: return record_.peer_has_right ? kAskAgain : Duration{};
        case SourceState::lingering: return kLingerBound;
        default: return {};
    }
}

std::string_view SourceMachine::step_name(SourceState state) {
    return source_states()[static_cast<std::size_t>(state)].name;
}

}  // namespace segue::migrate
