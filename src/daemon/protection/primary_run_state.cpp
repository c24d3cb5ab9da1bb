// SPDX-License-Identifier: LGPL-2.1-or-later
// A protected guest that QEMU has stopped by itself: what follows says protect/run_state_table.h.
#include "base/log.h"
#include "daemon/domain_events.h"
#include "daemon/guest.h"
#include "daemon/protection/ask.h"
#include "daemon/protection/devices.h"
#include "daemon/protection/primary.h"
#include "daemon/protection/waker.h"
#include "domain/alias.h"
#include "protect/colo_table.h"
#include "protect/run_state_table.h"

namespace segue {
namespace {

// What the agent allows a checkpoint, and its answer.
constexpr Duration kPauseBound = 40s;
// The agent's figures and QEMU's answer are not of the same moment.
constexpr int kResetLooks = 3;
// Some looks, and a wakeup: what holds checkpoints back is known by then.
constexpr Duration kHold = 15s;
// Until the checkpoint that stands is over.
constexpr Duration kLookBetween = 20ms;
constexpr int kLooksBetween = 500;

PausedReason reason_of(std::string_view state) {
    if (state == "guest-panicked") return PausedReason::crashed;
    if (state == "watchdog") return PausedReason::watchdog;
    if (state == "io-error") return PausedReason::io_error;
    return PausedReason::unknown;
}

// QEMU stands in no checkpoint, and in no end of a first state.
bool is_outside_checkpoint(std::string_view step) {
    using colo::Secondary;
    return step == colo::name_of(Secondary::awaiting_request) ||
           step == colo::name_of(Secondary::idle) ||
           step == colo::name_of(Secondary::synchronising);
}

// The node that the event names is of the copy, where one stands on the disk.
std::string failed_disk(const Domain& live, const Json& said) {
    const auto written = writable_disks(live);
    std::string disk = "one of its disks";
    for (const std::size_t index : written) {
        const bool named = said.text("node-name") == format_node(live, index);
        if (named || written.size() == 1) disk = fmt::format("disk '{}'", live.disks[index].target);
    }
    return fmt::format(" of {}: {}", disk, said.text("reason"));
}

}  // namespace

void PrimaryProtection::qemu_event(const QmpEvent& event) {
    const auto domain = domain_.lock();
    if (!domain || !domain->incarnation) return;
    // COLO lets a guest run when it is ended, whatever has stopped it.
    if (event.name == "RESUME" && state_ == State::taking_down && stays_still_) stop_guest();
    if (event.name == "RESUME" && state_ == State::guarding && paused_) resumed_by_others();
    // Before a look comes round: one that stood still must not meet a checkpoint.
    if (event.name == "RESET" && state_ == State::guarding) hold_checkpoints([](bool) {});
    const std::string_view told = run_state::told_by(event.name, event.data);
    if (!told.empty()) {
        const bool failed = event.name == "BLOCK_IO_ERROR";
        found_in(told, failed ? failed_disk(domain->incarnation->live, event.data) : "");
    }
    // Without its agent the copy ends, too: who goes on is being decided already.
    if (state_ != State::guarding || agent_is_dead_) return;
    if (const auto ended = ended_mirror(event)) mirror_ended(*ended);
}

void PrimaryProtection::stop_guest() {
    const auto domain = domain_.lock();
    const auto guest = domain ? domain->running_guest() : fail(ErrorCode::no_domain, "it is gone");
    if (guest) (*guest)->execute("stop", [](Result<>) {});
}

// A guest that reboots, or is reset, in the very moment of a checkpoint is shown like one that was
// reset while it stood still, for as long as that checkpoint takes; it runs behind it. It stands
// still when no checkpoint came, or was under way, between some looks.
bool PrimaryProtection::may_be_in_checkpoint(std::string_view status) {
    const std::uint64_t epoch = figures_.u64("local_epoch");
    const bool is_between =
        figures_.text("step") == colo::name_of(colo::Secondary::awaiting_request);
    const bool is_reset = status == "prelaunch";
    reset_looks_ = is_reset && is_between && epoch == reset_epoch_ ? reset_looks_ + 1 : 0;
    reset_epoch_ = epoch;
    return is_reset && reset_looks_ < kResetLooks;
}

// By an event, or by a look: a daemon that was started again has heard no events.
void PrimaryProtection::found_in(std::string_view qemu_state, const std::string& detail) {
    using run_state::Course;
    const auto domain = domain_.lock();
    const bool sets_up = state_ == State::setting_up;
    const bool guards = state_ == State::guarding && !agent_is_dead_;
    if (!domain || (!sets_up && !guards)) return;
    const run_state::Row& row = run_state::row_of(qemu_state);
    const std::string words = fmt::format("the guest {}{}", row.words, detail);
    switch (row.course) {
        case Course::goes_on:
        // end_guest() lets go of the standby.
        case Course::ends: return;
        // By somebody at the monitor. The steps that set it up stop it, too.
        case Course::pauses:
            if (guards && !paused_) pause([](Result<>) {});
            return;
        case Course::wakes: return wake_guest(false);
        // A disk, or a processor, that works stands by, with everything that anybody has seen.
        // (QEMU itself could not go on, either: it knows no way into its next checkpoint, and
        // aborts.) While it is set up there may be none.
        // What is shared works there no better.
        case Course::standby_goes_on:
            return guards && !wish_.shared_storage ? end_for_standby(words)
                                                   : leave_still(qemu_state, words);
        case Course::stands_still: return leave_still(qemu_state, words);
    }
}

// Until somebody knows what the guest does. `held` hears whether QEMU stands in none. Whoever asks
// may end: the agent goes on by itself.
void PrimaryProtection::hold_checkpoints(const std::function<void(bool between)>& held) {
    holds_ = true;
    if (!agent_ || agent_is_dead_) return held(true);
    ask_helper(services_, agent_file("control.sock"),
               Json::object({{"cmd", "hold"}, {"ms", to_ms(kHold)}}), [held](Result<Json> said) {
                   held(!said || is_outside_checkpoint(said->text("step")));
               });
}

void PrimaryProtection::let_checkpoints_go_on() {
    services_.loop.post([self = shared_from_this()] {
        if (!self->wakes_) self->hold_again_.reset();
    });
    if (wakes_ || !std::exchange(holds_, false) || !agent_ || agent_is_dead_) return;
    ask_helper(services_, agent_file("control.sock"), Json::object({{"cmd", "unhold"}}),
               [](Result<Json>) {});
}

// The checkpoint that it went to sleep in, or that came before anybody woke it, has let it run.
void PrimaryProtection::wake_guest(bool only_half_asleep) {
    const auto domain = domain_.lock();
    if (!domain || std::exchange(wakes_, true)) return;
    if (!only_half_asleep) {
        log_warning("daemon", "domain '{}' is woken: it is protected", domain->name);
    }
    const auto wake = only_half_asleep ? Waker::wake_half_asleep : Waker::wake;
    wake_between(kLooksBetween, [self = shared_from_this(), domain, wake] {
        wake(self->services_, domain, [self, domain](Result<> done) {
            if (!done) {
                log_error("daemon", "domain '{}' was not woken: {}", domain->name,
                          done.error().message);
            }
            self->wakes_ = false;
            self->let_checkpoints_go_on();
        });
    });
}

// Behind the checkpoint that stands, if one does.
void PrimaryProtection::wake_between(int looks, const std::function<void()>& wake) {
    hold_checkpoints([self = shared_from_this(), looks, wake](bool between) {
        if (between) return wake();
        const bool guards = self->state_ == State::guarding || self->state_ == State::setting_up;
        if (looks == 0 || !guards) {
            self->wakes_ = false;
            return self->let_checkpoints_go_on();
        }
        self->hold_again_ = self->services_.loop.make_timer(
            [self, looks, wake] { self->wake_between(looks - 1, wake); });
        self->hold_again_->start(kLookBetween);
    });
}

// As it would without a protection. It is tried again when somebody has let the guest run.
void PrimaryProtection::leave_still(std::string_view qemu_state, const std::string& words) {
    const auto domain = domain_.lock();
    if (!domain || stays_still_) return;
    stays_still_ = true;
    // At once: the next checkpoint would end QEMU, or let the guest run.
    if (agent_) {
        ask_helper(services_, agent_file("control.sock"), Json::object({{"cmd", "hold"}}),
                   [](Result<Json>) {});
    }
    if (domain->status.is(DomainState::running)) {
        set_status(services_, *domain, reason_of(qemu_state));
    }
    log_warning("daemon", "domain '{}': {}", domain->name, words);
    stopped_by_ = words;
    // Whoever sets it up ends it.
    if (state_ == State::setting_up) return;
    reason_ = words;
    go_on_alone();
}

// -- its user's

void PrimaryProtection::checkpoint_now() {
    const auto domain = domain_.lock();
    const auto guest = domain ? domain->running_guest() : fail(ErrorCode::no_domain, "it is gone");
    if (!guest) return;
    const std::uint32_t interval = wish_.adapts ? pilot_.interval_ms() : wish_.interval_ms;
    (*guest)->execute("migrate-set-parameters", Json::object({{"x-checkpoint-delay", interval}}),
                      [](Result<Json>) {});
}

void PrimaryProtection::paused(bool now) {
    const auto domain = domain_.lock();
    if (std::exchange(paused_, now) != now) save();
    if (!domain) return;
    // A daemon that was started again has found it in a checkpoint, and not why.
    const bool is_news = !domain->status.is(now ? DomainState::paused : DomainState::running);
    if (!is_news && !now) return;
    now ? set_status(services_, *domain, PausedReason::user)
        : set_status(services_, *domain, RunningReason::unpaused);
    if (!is_news) return;
    publish(services_, *domain, now ? lifecycle::kPaused : lifecycle::kUnpaused);
}

// Which of them stands is the agent's to say: the daemon before this one may have ended with its
// question, and an answer may be lost.
void PrimaryProtection::follow_pause(const Json& said) {
    const auto domain = domain_.lock();
    // Found in a checkpoint by a daemon that was started again, which could not know more.
    const bool is_unknown = domain && domain->status == DomainStatus(PausedReason::unknown);
    const bool now = said.flag("paused");
    if (now != paused_ || (now && is_unknown)) paused(now);
    if (is_unknown && !paused_ && said.text("state") == "protected") {
        set_status(services_, *domain, RunningReason::unknown);
    }
}

// Found isolated: the daemon before this one may have ended before it wrote the pause down.
void PrimaryProtection::ask_whether_paused() {
    if (!agent_ || paused_) return;
    ask_helper(services_, agent_file("control.sock"), Json::object({{"cmd", "status"}}),
               [self = shared_from_this()](Result<Json> said) {
                   if (!said || !said->flag("paused") || self->state_ != State::isolated) return;
                   self->paused_ = true;
                   self->save();
               });
}

// QEMU would undo a stop of ours at its next checkpoint. In this one it stands still until it is
// answered, and the standby has all of it.
void PrimaryProtection::pause(Answer<> answer) {
    if (paused_) return answer({});
    if (state_ != State::guarding || agent_is_dead_ || pauses_) {
        return answer(fail(ErrorCode::operation_invalid, "not possible while {}: ask again",
                           pauses_ ? "pausing" : name_of(state_)));
    }
    pauses_ = true;
    pause_turn_ += 1;
    const Self self = shared_from_this();
    ask_helper(
        services_, agent_file("control.sock"), Json::object({{"cmd", "pause"}}),
        [self, answer](Result<Json> said) {
            self->pauses_ = false;
            self->pause_turn_ += 1;
            if (said && self->state_ == State::guarding) {
                self->paused(true);
                return answer({});
            }
            const std::string why =
                said ? std::string(name_of(self->state_)) : said.error().message;
            answer(fail(ErrorCode::operation_failed, "the guest was not paused: {}", why));
        },
        kPauseBound);
    // A long interval need not be waited for.
    checkpoint_now();
}

void PrimaryProtection::resume(Answer<> answer) {
    if (pauses_) return answer(fail(ErrorCode::operation_invalid, "it is being paused: ask again"));
    pause_turn_ += 1;
    const Self self = shared_from_this();
    // The agent knows whether it is paused; to tell QEMU would let the guest run in the middle of a
    // checkpoint.
    ask_helper(services_, agent_file("control.sock"), Json::object({{"cmd", "thaw"}}),
               [self, answer](Result<Json> said) {
                   self->pause_turn_ += 1;
                   if (said && self->paused_) self->paused(false);
                   answer(said.map([](const Json&) {}));
               });
}

// Not the end of the checkpoint before, which may be heard late.
void PrimaryProtection::resumed_by_others() {
    const auto domain = domain_.lock();
    const auto guest = domain ? domain->running_guest() : fail(ErrorCode::no_domain, "it is gone");
    if (!guest) return;
    (*guest)->execute("query-status", {}, [self = shared_from_this()](Result<Json> said) {
        const bool runs = said && said->text("status") == "running";
        if (runs && self->state_ == State::guarding) self->resume([](Result<>) {});
    });
}

}  // namespace segue
