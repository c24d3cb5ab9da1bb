// SPDX-License-Identifier: LGPL-2.1-or-later
// segue-agent toward its operator: status, freeze, pause, thaw, hold, unhold, fence, end.
#include <algorithm>
#include <vector>

#include "standby/agent.h"

namespace segue::standby {
namespace {

Json percentiles(const std::deque<std::int64_t>& numbers) {
    std::vector<std::int64_t> sorted(numbers.begin(), numbers.end());
    std::sort(sorted.begin(), sorted.end());
    const auto at = [&](std::size_t percent) {
        return sorted.empty() ? 0
                              : sorted[std::min(sorted.size() - 1, sorted.size() * percent / 100)];
    };
    return Json::object({{"p50", at(50)}, {"p90", at(90)}, {"p99", at(99)}, {"max", at(100)}});
}

constexpr Duration kFreezeBound = 30s;
constexpr std::uint64_t kLongestHoldMs = 20000;

}  // namespace

void Agent::on_request(const Json& request, ControlSocket::Reply reply) {
    const std::string_view command = request.text("cmd");
    if (command == "status") return reply(status());
    if (command == "freeze" || command == "pause") {
        return freeze(std::move(reply), command == "pause");
    }
    if (command == "thaw") {
        return may_be_taken_over() ? reply(refusal()) : resume(std::move(reply));
    }
    if (command == "hold" || request.flag("still")) hold(request.u64("ms"));
    if (command == "unhold") unhold();
    if (command == "hold" || command == "unhold") return reply(status());
    if (command == "fence") {
        fence();
        return reply(Json::object({{"state", name_of(state_)}}));
    }
    if (command == "end") {
        // Its operator knows that the standby does not run the guest.
        if (may_be_taken_over() && request.flag("force")) go_on_alone();
        return end(std::move(reply));
    }
    reply(fail(ErrorCode::invalid_argument,
               "unknown cmd '{}' (status, freeze, pause, thaw, hold, unhold, fence, end)",
               command));
}

bool Agent::may_be_taken_over() const {
    return state_ == State::isolated || state_ == State::asking;
}

tl::unexpected<Error> Agent::refusal() {
    return fail(ErrorCode::operation_invalid, "the standby may have taken over");
}

// The median of the last few: what the interval is steered by.
std::int64_t Agent::recent_pause_us() const {
    const std::size_t count = std::min<std::size_t>(pauses_us_.size(), 9);
    if (count == 0) return 0;
    std::vector<std::int64_t> last(pauses_us_.end() - static_cast<std::ptrdiff_t>(count),
                                   pauses_us_.end());
    std::nth_element(last.begin(), last.begin() + static_cast<std::ptrdiff_t>(count / 2),
                     last.end());
    return last[count / 2];
}

Json Agent::status() const {
    std::uint64_t dropped = 0;
    for (const auto& card : cards_)
        dropped += card->network->dropped();
    Json json = Json::object(
        {{"state", name_of(state_)},
         {"step", colo::name_of(session_.owes_reply() ? colo::Secondary::awaiting_request
                                                      : session_.state())},
         {"epoch", session_.committed_epoch()},
         {"local_epoch", session_.local_epoch()},
         {"checkpoints", checkpoints_},
         {"pages", pages_},
         {"bytes", bytes_},
         {"pause_us", percentiles(pauses_us_)},
         {"recent_pause_us", recent_pause_us()},
         {"commit_lag_us", percentiles(lags_us_)},
         {"lag_us", lags_us_.empty() ? 0 : lags_us_.back()},
         {"mode", session_.is_paced() ? "periodic" : "hybrid"},
         {"held_frames", held_frames()},
         {"dropped_frames", dropped},
         {"backlog_bytes", connection_ ? connection_->output_waiting() : 0},
         {"waits_for_standby", session_.is_waiting()},
         // Its writes or its checkpoint wait for us: QEMU's main loop may, too.
         {"holds_qemu", full_ || (session_.is_waiting() && !session_.is_still())},
         {"still", session_.is_still()},
         {"paused", paused_ && !freeze_reply_},
         {"fenced", is_fenced_}});
    if (state_ == State::guarding && committed_state_at_ != Instant{}) {
        // What a failover now would lose: everything after this state.
        json.set("rpo_us", to_us(loop_.now() - committed_state_at_));
    }
    if (screen_) json.set("held_screen", screen_->waiting());
    if (witness_) {
        json.set("witness", Json::object({{"heard", witness_->is_heard()},
                                          {"may_release", witness_->may_release()}}));
    }
    if (!reason_.empty()) json.set("reason", reason_);
    return json;
}

// The guest stands still at its next checkpoint; the answer comes when the standby has committed
// it. Its user's pause goes before that checkpoint: who has it knows that it stands still.
void Agent::freeze(ControlSocket::Reply reply, bool by_user) {
    if (state_ != State::guarding || freeze_reply_ || paused_) {
        return reply(fail(ErrorCode::operation_invalid, "not possible while {}",
                          paused_ ? "paused" : name_of(state_)));
    }
    freeze_reply_ = std::move(reply);
    freeze_bound_->start(kFreezeBound);
    paused_ = by_user;
    if (by_user) send(AgentLink::tell(AgentLink::Kind::pauses));
    session_.freeze();
    answer_freeze();
}

// For so long, or for good: who asks for some time may end before he lets go.
void Agent::hold(std::uint64_t ms) {
    session_.hold();
    // No answer comes that would end this.
    if (session_.owes_reply()) {
        for (const auto& card : cards_)
            card->network->thaw();
    }
    holds_for_good_ = holds_for_good_ || ms == 0;
    if (holds_for_good_) return hold_bound_->cancel();
    hold_bound_->start(std::chrono::milliseconds(std::min(ms, kLongestHoldMs)));
}

void Agent::unhold() {
    if (holds_for_good_) return;
    hold_bound_->cancel();
    session_.unhold();
}

void Agent::thaw() {
    if (std::exchange(paused_, false)) send(AgentLink::tell(AgentLink::Kind::resumes));
    session_.thaw();
}

// A standby that takes over before it knows of this would leave the guest paused.
void Agent::resume(ControlSocket::Reply reply) {
    const bool linked = connection_ && !connection_->is_closed() && !farewell_said_;
    const bool knows_pause = paused_ && !freeze_reply_ && linked && state_ == State::guarding;
    resume_replies_.push_back(std::move(reply));
    if (!knows_pause) return answer_resume();
    if (resume_replies_.size() == 1) send(AgentLink::tell(AgentLink::Kind::resumes));
}

// It knows, or there is none any more whose word would matter.
void Agent::answer_resume() {
    if (resume_replies_.empty() || state_ == State::asking || state_ == State::ending) return;
    const bool goes_on = !may_be_taken_over();
    if (goes_on) {
        // It was not paused yet.
        if (freeze_reply_) thaw();
        paused_ = false;
        session_.thaw();
    }
    for (const auto& reply : std::exchange(resume_replies_, {})) {
        if (goes_on) {
            reply(Json::object({{"state", name_of(state_)}}));
        } else {
            reply(refusal());
        }
    }
}

void Agent::answer_freeze() {
    if (!freeze_reply_) return;
    if (state_ != State::guarding) {
        // It is not paused, says this answer.
        const bool paused = std::exchange(paused_, false);
        if (paused && (state_ == State::lost || state_ == State::ended)) session_.thaw();
        return std::exchange(freeze_reply_, nullptr)(
            fail(ErrorCode::operation_failed, "the standby was lost: {}", reason_));
    }
    if (!session_.is_still()) return;
    freeze_bound_->cancel();
    std::exchange(freeze_reply_, nullptr)(
        Json::object({{"state", "still"}, {"epoch", session_.committed_epoch()}}));
}

// On purpose: the standby forgets, and QEMU is answered until whoever asked has ended COLO in it.
void Agent::end(ControlSocket::Reply reply) {
    if (may_be_taken_over()) return reply(refusal());
    end_replies_.push_back(std::move(reply));
    // Asked before, perhaps by a daemon that was started again meanwhile: both are answered.
    if (end_replies_.size() > 1) return;
    const bool is_over = state_ == State::lost || state_ == State::dead || state_ == State::ended;
    if (is_over) {
        // A standby that hangs hears nothing, and would not take over either.
        if (state_ == State::lost && connection_) connection_->close();
        if (state_ == State::lost) state_ = State::ended;
    } else {
        give_up("protection was given up", true);
    }
    if (witness_ && !may_be_taken_over() && state_ != State::ending) witness_->rest();
    answer_end();
}

// Whoever asked ends this process next: not before the standby has heard, or it takes the end of
// the link for a loss.
void Agent::answer_end() {
    if (end_replies_.empty() || (connection_ && !connection_->is_closed())) return;
    if (may_be_taken_over()) {
        for (const auto& reply : std::exchange(end_replies_, {})) {
            reply(
                fail(ErrorCode::operation_invalid, "the standby may have taken over: {}", reason_));
        }
        return;
    }
    if (witness_) witness_->rest();
    for (const auto& reply : std::exchange(end_replies_, {}))
        reply(Json::object({{"state", name_of(state_)}}));
}

}  // namespace segue::standby
