// SPDX-License-Identifier: LGPL-2.1-or-later
#include "protect/agent_session.h"

#include <utility>

namespace segue {

using colo::Action;
using colo::Event;
using colo::Secondary;

Result<> AgentSession::tell(Event event) {
    for (const Action action : TRY(machine_.tell(event)))
        carry_out(action);
    return {};
}

void AgentSession::carry_out(Action action) {
    switch (action) {
        case Action::send_ready: return owner_.answer(ColoMessage::checkpoint_ready);
        case Action::send_reply: reply_owed_ = true; return answer_request();
        case Action::send_received: return owner_.answer(ColoMessage::vmstate_received);
        case Action::send_loaded: return owner_.answer(ColoMessage::vmstate_loaded);
        case Action::hold_output: return owner_.hold_output();
        case Action::commit: return commit();
        case Action::tell_protected: return owner_.tell_protected();
        case Action::tell_checkpoint: return owner_.tell_checkpoint(facts_);
        // Output leaves when the standby has committed, not when QEMU is answered; the rest is the
        // standby's, the primary's, or of hybrid mode.
        case Action::release_output:
        case Action::pass_output:
        case Action::seal_output:
        case Action::discard_stage:
        case Action::drop_link:
        case Action::refuse_link:
        case Action::send_first_state:
        case Action::send_request:
        case Action::send_state:
        case Action::suspend_vm:
        case Action::resume_vm:
        case Action::load_vm:
        case Action::start_comparing:
        case Action::tell_lost:
        case Action::lose_peer:
        case Action::promote_vm: return;
    }
}

bool AgentSession::connected() {
    return state() == Secondary::idle && tell(Event::connected).has_value();
}

Result<> AgentSession::received(ByteView bytes) {
    input_.insert(input_.end(), bytes.begin(), bytes.end());
    std::size_t used = 0;
    for (std::size_t now = 1; now != 0; used += now) {
        const ByteView rest = ByteView(input_).subspan(used);
        now = TRY(reader_.read(rest, *this));
        if (now > 0 && forwards()) owner_.forward(rest.first(now));
    }
    input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(used));
    return {};
}

Result<> AgentSession::on_head(const StreamHead& head) {
    if (!head.enable_colo) {
        return fail(ErrorCode::config_unsupported,
                    "the stream is an ordinary migration: turn capability x-colo on");
    }
    return tell(Event::head_read);
}

Result<> AgentSession::on_first_state(ByteView) {
    return tell(Event::first_state_whole);
}

Result<> AgentSession::on_message(ColoMessage message) {
    if (message == ColoMessage::checkpoint_request) begins_at_ = reader_.position();
    if (message == ColoMessage::vmstate_send) facts_ = {};
    return tell(colo::event_of(message));
}

Result<> AgentSession::on_checkpoint_state(ByteView) {
    facts_.bytes = reader_.position() - begins_at_;
    return tell(Event::state_whole);
}

// The first state counts when the standby has it; later ones when they are whole here.
void AgentSession::commit() {
    answer_waits_ = true;
    const bool first = state() == Secondary::committing_first;
    if (!first) facts_.epoch = ++local_;
    // The bytes that make the state whole are not forwarded yet.
    const bool sealed = owner_.seal_output(first ? 1 : local_);
    withheld_ = withheld_ || (!sealed && !detached_);
    answer_if_allowed();
}

void AgentSession::answer_if_allowed() {
    if (!answer_waits_ || stopped_) return;
    if (!detached_) {
        if (withheld_) return;
        if (state() == Secondary::committing_first && committed_ == 0) return;
        if (frozen_ || local_ - committed_ > kMaxInFlight) return;
    }
    answer_waits_ = false;
    (void)tell(Event::committed);
}

Result<> AgentSession::standby_said(ColoMessage message) {
    if (!forwards()) return {};
    switch (message) {
        case ColoMessage::checkpoint_ready:
            if (state() != Secondary::committing_first || committed_ != 0) break;
            local_ = committed_ = 1;
            answer_if_allowed();
            return {};
        case ColoMessage::vmstate_received:
            if (committed_ == 0 || committed_ == local_) break;
            committed_ += 1;
            owner_.release_output(committed_);
            answer_if_allowed();
            return {};
        // Answers that QEMU has had from us already.
        case ColoMessage::checkpoint_reply:
        case ColoMessage::vmstate_loaded: return {};
        default: break;
    }
    return fail(ErrorCode::protocol,
                "the standby said {} while {} (epoch {} whole here, {} committed there)",
                name_of(message), colo::name_of(state()), local_, committed_);
}

void AgentSession::standby_lost(bool go_on) {
    if (detached_ || stopped_) return;
    // A frozen guest may run there by now.
    detached_ = go_on && !frozen_;
    stopped_ = !detached_;
    answer_request();
    answer_if_allowed();
}

void AgentSession::unhold() {
    held_ = false;
    answer_request();
}

void AgentSession::answer_requests(Answers how) {
    answers_ = how;
    answer_request();
}

// Whoever stands still here, or goes on alone, does so at the next checkpoint.
void AgentSession::answer_request() {
    const bool alone = detached_ || stopped_ || frozen_;
    if (!reply_owed_ || held_ || (answers_ == Answers::none && !alone)) return;
    const bool waits = answers_ == Answers::one && !alone;
    if (!alone && !owner_.freeze_input(waits)) return;
    if (waits) answers_ = Answers::none;
    reply_owed_ = false;
    owner_.answer(ColoMessage::checkpoint_reply);
}

void AgentSession::thaw() {
    frozen_ = false;
    if (stopped_) {
        stopped_ = false;
        detached_ = true;
    }
    answer_if_allowed();
}

}  // namespace segue
