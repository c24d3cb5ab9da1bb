// SPDX-License-Identifier: LGPL-2.1-or-later
// A protected domain that loses what protects it: its standby, its agent, or its own QEMU. Who goes
// on is decided by the agent while there is one, and here when there is none.
#include <filesystem>

#include "base/log.h"
#include "daemon/domain_events.h"
#include "daemon/domain_list.h"
#include "daemon/guest.h"
#include "daemon/life.h"
#include "daemon/protection/arbiter.h"
#include "daemon/protection/ask.h"
#include "daemon/protection/devices.h"
#include "daemon/protection/primary.h"
#include "daemon/protection/qemu_steps.h"
#include "domain/alias.h"

namespace segue {
namespace {

constexpr Duration kRetry = 5s;
constexpr Duration kAskAgain = 1s;

}  // namespace

// Killed first: an agent that wakes up later must not speak for a guest that went another way.
void PrimaryProtection::agent_is_of_no_use(const std::string& reason) {
    reason_ = reason;
    decided_at_ = services_.loop.now();
    agent_is_dead_ = true;
    if (agent_) agent_->kill();
    // It has told the standby to run the guest.
    if (std::filesystem::exists(agent_file("taken"))) return stand_still();
    if (wish_.has_witness()) return ask_witness();
    wish_.promote_on_loss ? stand_still() : go_on_alone();
}

void PrimaryProtection::ask_witness() {
    const Self self = shared_from_this();
    // Until somebody has decided, nothing is heard: without its agent the filter drops what the
    // guest sends.
    ask_arbiter(services_, wish_.witness, "witness-claim",
                Json::object({{"key", key_}, {"side", "primary"}}), [self](Result<Json> said) {
                    const bool waits = self->state_ == State::guarding ||
                                       (self->state_ == State::isolated && self->is_asking_);
                    if (!waits) return;
                    if (said) {
                        self->is_asking_ = false;
                        if (said->text("verdict") == "granted") return self->go_on_alone();
                        self->reason_ += "; the witness says that the standby has taken over";
                        self->stand_still();
                        return self->give_disks_back();
                    }
                    if (!self->is_asking_) {
                        self->reason_ += "; the witness does not answer: " + said.error().message;
                        self->stand_still();
                        self->is_asking_ = true;
                    }
                    self->after(kAskAgain, [self] { self->ask_witness(); });
                });
}

// The standby may run the guest.
void PrimaryProtection::stand_still() {
    const auto domain = domain_.lock();
    if (!domain || !domain->incarnation) return;
    log_warning("daemon", "domain '{}' stands still: {}", domain->name, reason_);
    log_event("stands still: " + reason_);
    may_have_taken_over_ = true;
    enter(State::isolated);
    std::vector<Step> steps;
    if (agent_is_dead_) yank(steps, domain);
    const Self self = shared_from_this();
    run_steps(std::move(steps), [self, domain](Result<>) {
        if (self->state_ != State::isolated) return;
        if (const auto guest = domain->running_guest()) {
            (*guest)->execute("stop", [](Result<>) {});
            set_status(self->services_, *domain, PausedReason::unknown);
        }
    });
}

// The witness lets the standby start the guest, which waits for the disks that are open here. What
// stands still here is of no use any more: its memory goes nowhere.
void PrimaryProtection::give_disks_back() {
    const auto domain = domain_.lock();
    if (!wish_.shared_storage || !domain || state_ != State::isolated) return;
    log_event("is ended: its standby may start it from the shared disks");
    end_guest(services_, *domain, ShutOffReason::failed);
}

// Without protection, which is tried again until it succeeds or is given up.
void PrimaryProtection::go_on_alone() {
    const auto domain = domain_.lock();
    if (!domain || !domain->incarnation) return;
    const std::string_view how = stays_still_ || paused_ ? "stands still" : "goes on";
    log_warning("daemon", "domain '{}' {} unprotected: {}", domain->name, how, reason_);
    log_event(fmt::format("{} unprotected: {}", how, reason_));
    const bool stood_still = state_ == State::isolated && !paused_;
    const Self self = shared_from_this();
    take_down(Force::no, [self, domain, stood_still](Result<>) {
        if (self->state_ != State::taking_down) return;
        if (const auto guest = domain->running_guest(); guest && stood_still) {
            (*guest)->execute("cont", [self, domain](Result<> done) {
                if (done) set_status(self->services_, *domain, RunningReason::unpaused);
            });
        }
        self->wait_alone();
    });
}

void PrimaryProtection::wait_alone() {
    enter(State::unprotected);
    after(kRetry, [self = shared_from_this()] { self->try_again(); });
}

void PrimaryProtection::try_again() {
    const auto domain = domain_.lock();
    if (state_ != State::unprotected || !domain || domain->primary.get() != this) return;
    const Self self = shared_from_this();
    // A guest that stands still is protected again when somebody has let it run.
    if (!judge()) return after(kRetry, [self] { self->try_again(); });
    set_up([self](Result<> done) {
        if (done || self->state_ != State::setting_up) return;
        self->take_down(Force::no, [self](Result<>) {
            const auto own = self->domain_.lock();
            if (self->state_ == State::taking_down && !self->enders_.empty() && own) {
                own->primary = nullptr;
                self->forget_record();
                self->log_event("protection was given up");
                return self->end_set_up({});
            }
            self->end_set_up({});
            if (self->state_ != State::taking_down) return;
            self->wait_alone();
        });
    });
}

// -- QEMU itself

// Each look asks both: the monitor's own thread, and the main loop in its turn. What that answers
// is of use where disks are copied: a daemon that was started again has heard no events.
void PrimaryProtection::probe_qemu() {
    const auto domain = domain_.lock();
    const auto guest = domain ? domain->running_guest() : fail(ErrorCode::no_domain, "it is gone");
    if (!guest) return;
    const Self self = shared_from_this();
    const auto ask = [&](const char* question, bool out_of_band, bool PrimaryProtection::*asked,
                         std::function<void(const Json&)> answered) {
        if (std::exchange(this->*asked, true)) return;
        (*guest)->monitor().execute(
            QmpCommand{.name = question, .out_of_band = out_of_band},
            [self, asked, answered = std::move(answered)](Result<Json> said) {
                (*self).*asked = false;
                if (said) answered(*said);
            });
    };
    ask("query-yank", true, &PrimaryProtection::process_asked_,
        [this](const Json&) { judge_.process_answered(); });
    ask("query-status", false, &PrimaryProtection::work_asked_,
        [this](const Json& said) { work_answered(said); });
    if (!disks_.empty()) {
        ask("query-block-jobs", false, &PrimaryProtection::jobs_asked_,
            [this](const Json& said) { jobs_answered(said); });
    }
    // A slow disk of the standby is no hung QEMU: what is owed to it is the standby's to judge.
    if (figures_.flag("holds_qemu")) judge_.work_excused();
    const HangJudge::Verdict verdict = judge_.period();
    if (verdict == verdict_) return;
    verdict_ = verdict;
    log_warning("daemon", "domain '{}': QEMU is {}", domain->name, name_of(verdict));
    if (verdict == HangJudge::Verdict::hung || verdict == HangJudge::Verdict::stands_still) {
        qemu_hangs(verdict);
    }
}

void PrimaryProtection::work_answered(const Json& said) {
    judge_.work_answered();
    const std::string_view status = said.text("status");
    if (holds_ && status == "running") let_checkpoints_go_on();
    if (state_ == State::guarding && !may_be_in_checkpoint(status)) found_in(status, "");
}

void PrimaryProtection::jobs_answered(const Json& said) {
    if (state_ != State::guarding || agent_is_dead_) return;
    if (const auto missing = missing_mirror(said, disks_.size())) mirror_ended(*missing);
}

// From here on the standby misses what is written: an epoch of its is worth nothing. The guest is
// alive and here, whatever the bias says about one that is not heard.
void PrimaryProtection::mirror_ended(const EndedMirror& mirror) {
    const auto domain = domain_.lock();
    if (!domain || !domain->incarnation || mirror.disk >= disks_.size()) return;
    // An agent that has died ends the copy, too, and QEMU may be heard first: its bias decides.
    if (!agent_ || !agent_->running()) return agent_is_of_no_use("segue-agent has ended");
    const Domain& live = domain->incarnation->live;
    const auto written = writable_disks(live);
    const std::string& target =
        mirror.disk < written.size() ? live.disks[written[mirror.disk]].target : live.name;
    reason_ =
        fmt::format("the copy of disk '{}' to the standby has ended: {}", target, mirror.cause);
    decided_at_ = services_.loop.now();
    go_on_alone();
}

// Its guest serves nobody, and the standby can. Ended for certain, it is no partition: the agent
// sees the end and says so, and only then the standby starts, under every bias.
void PrimaryProtection::qemu_hangs(HangJudge::Verdict verdict) {
    end_for_standby(verdict == HangJudge::Verdict::hung
                        ? "QEMU answers nothing"
                        : "QEMU's main loop stands still (a disk that hangs?)");
}

void PrimaryProtection::end_for_standby(std::string_view what) {
    const auto domain = domain_.lock();
    const auto guest = domain ? domain->running_guest() : fail(ErrorCode::no_domain, "it is gone");
    if (!guest) return;
    log_warning("daemon", "domain '{}': {}: it is ended, and its standby takes over", domain->name,
                what);
    log_event(fmt::format("{}: it is ended, and its standby takes over", what));
    (*guest)->kill();
    // It may wait in the kernel for a disk, and its end be seen by nobody.
    ask_helper(services_, agent_file("control.sock"), Json::object({{"cmd", "fence"}}),
               [](Result<Json>) {});
}

}  // namespace segue
