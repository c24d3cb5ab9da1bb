// SPDX-License-Identifier: LGPL-2.1-or-later
// The end of a protection: given up, moved to the standby without loss, or with its guest.
#include <filesystem>

#include "daemon/domain_events.h"
#include "daemon/domain_list.h"
#include "daemon/guest.h"
#include "daemon/life.h"
#include "daemon/protection/ask.h"
#include "daemon/protection/primary.h"
#include "qemu/process_record.h"

namespace segue {
namespace {

// The agent waits 15 s for a standby that is slow to hear it. A QEMU that ended before would be
// taken for one that died.
constexpr Duration kFarewellBound = 20s;
constexpr Duration kAskAgain = 2s;

}  // namespace

void PrimaryProtection::end(Answer<> answer) {
    const auto domain = domain_.lock();
    if (!domain) return answer({});
    // What it waits for is not waited for any longer; it is taken down by whoever set it up.
    if (state_ == State::setting_up) return enders_.push_back(std::move(answer));
    if (state_ == State::isolated) return end_isolated(std::move(answer));
    const bool decides = state_ == State::guarding && agent_is_dead_;
    if (state_ == State::taking_down || state_ == State::moving || decides) {
        return answer(fail(ErrorCode::operation_invalid, "not possible while {}: ask again",
                           name_of(state_)));
    }
    end_now(std::move(answer));
}

// The standby may run it. Where it can be asked, nobody's word counts but its own; where not, an
// operator's.
void PrimaryProtection::end_isolated(Answer<> answer) {
    const Self self = shared_from_this();
    const auto refuse = [self, answer](std::string_view how) {
        const auto domain = self->domain_.lock();
        answer(fail(ErrorCode::operation_invalid,
                    "domain '{}' {} at its standby ({}): it cannot go on here. `virsh destroy` "
                    "ends what stands still here",
                    domain ? domain->name : "", how, self->wish_.standby));
    };
    ask_daemon(
        services_, wish_.standby, "standby-status", Json::object({{"key", key_}}),
        [self, answer, refuse](Result<Json> said) {
            if (self->state_ != State::isolated) {
                return answer(fail(ErrorCode::operation_invalid, "not possible while {}: ask again",
                                   name_of(self->state_)));
            }
            const std::string_view promotion = said ? said->text("promotion") : "";
            if (promotion == "yes") return refuse("runs");
            if (promotion == "maybe") return refuse("may run");
            // From here on it never will.
            ask_daemon(self->services_, self->wish_.standby, "standby-end",
                       Json::object({{"key", self->key_}}),
                       [self, answer, refuse](Result<Json> ended) {
                           const bool refused =
                               !ended && ended.error().code == ErrorCode::operation_invalid;
                           if (refused) return refuse("runs");
                           if (self->state_ == State::isolated) return self->end_now(answer);
                           answer(fail(ErrorCode::operation_invalid,
                                       "not possible while {}: ask again", name_of(self->state_)));
                       });
        });
}

void PrimaryProtection::end_now(Answer<> answer) {
    const auto domain = domain_.lock();
    if (!domain) return answer({});
    const Self self = shared_from_this();
    const bool stood_still = state_ == State::isolated;
    // Its user has paused it before.
    const bool runs_on = stood_still && !paused_;
    // Whoever sees that and says this knows that the standby does not run it.
    const bool forced = stood_still || figures_.text("state") == "asking";
    const auto answered = not_lost(std::move(answer));
    const auto finish = [self, domain, stood_still, answered](Result<> outcome) {
        // guest_gone() has answered, and left a record of its own.
        if (domain->primary != self) return;
        domain->primary = nullptr;
        self->forget_record();
        self->services_.metrics.forget("domain", domain->name);
        self->log_event(stood_still ? "protection was given up: the guest goes on here"
                                    : "protection was given up");
        answered(std::move(outcome));
    };
    const auto taken_down = [self, domain, runs_on, answered, finish](Result<> done) {
        if (self->state_ == State::isolated) return answered(std::move(done));
        const auto guest = domain->running_guest();
        if (!guest || domain->primary != self) return finish({});
        // The steps bear with a QEMU that answers nothing: it must live, or whoever asked hears.
        (*guest)->execute(
            runs_on ? "cont" : "query-status", {},
            [self, domain, runs_on, finish](Result<Json> said) {
                if (said && runs_on) {
                    set_status(self->services_, *domain, RunningReason::unpaused);
                }
                if (said || runs_on) return finish(said.map([](const Json&) {}));
                finish(fail(said.error().code,
                            "domain '{}' is no longer protected, and its QEMU ended while its "
                            "protection was given up: {}",
                            domain->name, said.error().message));
            });
    };
    take_down(forced ? Force::yes : Force::no, taken_down);
}

// Frozen in a state that the standby has; resumed there; and only then ended here.
void PrimaryProtection::move(Answer<Json> answer) {
    if (state_ != State::guarding) {
        return answer(fail(ErrorCode::operation_invalid, "not possible while {}", name_of(state_)));
    }
    const auto domain = domain_.lock();
    if (wish_.shared_storage) {
        return answer(fail(ErrorCode::operation_unsupported,
                           "domain '{}' would start anew at its standby (--shared-storage): "
                           "`segue unprotect` and `segue migrate` move it without loss",
                           domain ? domain->name : ""));
    }
    if (paused_ || pauses_) {
        return answer(fail(ErrorCode::operation_invalid,
                           "domain '{}' is paused: resume it first, a standby lets it run",
                           domain ? domain->name : ""));
    }
    enter(State::moving);
    const Self self = shared_from_this();
    const auto give_up = [self, answer](const Error& error) {
        ask_helper(self->services_, self->agent_file("control.sock"),
                   Json::object({{"cmd", "thaw"}}), [](Result<Json>) {});
        // An agent that refuses this will say at the next look why.
        self->enter(State::guarding);
        self->look();
        answer(tl::unexpected(error));
    };
    // Nobody knows whether it runs there: it must not run here.
    const auto stay_still = [self, answer](const Error& error) {
        self->reason_ = error.message;
        self->may_have_taken_over_ = true;
        self->enter(State::isolated);
        self->ask_whether_moved();
        answer(fail(ErrorCode::operation_failed,
                    "{}: the standby may run the guest, so that it stands still here; `segue "
                    "status` of both hosts tells, `segue unprotect` lets it go on here",
                    error.message));
    };
    ask_helper(
        services_, agent_file("control.sock"), Json::object({{"cmd", "freeze"}}),
        [self, give_up, stay_still, answer](Result<Json> still) {
            if (!still) return give_up(still.error());
            ask_daemon(self->services_, self->wish_.standby, "standby-promote",
                       Json::object({{"key", self->key_}}),
                       [self, give_up, stay_still, answer](Result<Json> said) {
                           if (said) {
                               return self->moved([answer, said = *said] { answer(said); });
                           }
                           const ErrorCode code = said.error().code;
                           const bool refused =
                               code == ErrorCode::operation_invalid || code == ErrorCode::no_domain;
                           refused ? give_up(said.error()) : stay_still(said.error());
                       });
        },
        40s);
    // A long interval need not be waited for.
    checkpoint_now();
}

// It runs at the standby.
void PrimaryProtection::moved(const std::function<void()>& gone) {
    const auto domain = domain_.lock();
    if (!domain) return;
    log_event("moved to the standby at " + wish_.standby);
    if (state_ != State::moving) enter(State::moving);
    if (agent_) agent_->kill();
    // Stock viewers, too, while there is somebody who can send them.
    tell_viewers(spice::control::StandbySource::left,
                 [self = shared_from_this(), domain, gone](Result<>) {
                     when_gone(*domain, gone);
                     end_guest(self->services_, *domain, ShutOffReason::migrated);
                 });
}

// Behind a failover whose outcome nobody heard: this guest stands still until the standby says that
// it runs it, or an operator says that it does not.
void PrimaryProtection::ask_whether_moved() {
    ask_daemon(services_, wish_.standby, "standby-status", Json::object({{"key", key_}}),
               [self = shared_from_this()](Result<Json> said) {
                   if (self->state_ != State::isolated) return;
                   if (said && said->text("promotion") == "yes") return self->moved([] {});
                   self->after(kAskAgain, [self] { self->ask_whether_moved(); });
               });
}

void PrimaryProtection::let_go(std::function<void()> then) {
    const bool could_win = standby_may_win() && state_ == State::guarding;
    enter(State::taking_down);
    if (!agent_) return then();
    ask_helper(
        services_, agent_file("control.sock"), Json::object({{"cmd", "end"}}),
        [self = shared_from_this(), then, could_win](Result<Json> said) {
            // One that says nothing may not have told it.
            if (is_refused(said) || (!said && could_win)) self->may_have_taken_over_ = true;
            then();
        },
        kFarewellBound);
}

void PrimaryProtection::guest_gone() {
    const auto domain = domain_.lock();
    if (!domain || domain->primary.get() != this) return;
    timer_.reset();
    log_event(state_ == State::guarding ? "QEMU has ended: the standby takes over"
                                        : "QEMU has ended");
    services_.metrics.forget("domain", domain->name);
    const Self self = shared_from_this();
    sync_images();
    const bool taken_over =
        state_ == State::guarding || state_ == State::moving || may_have_taken_over_;
    if (state_ == State::taking_down && !taken_over) {
        release_witness();
        release_standby([self](Result<>) {});
    }
    const bool was_setting_up = state_ == State::setting_up;
    domain->primary = nullptr;
    if (taken_over && domain->is_persistent()) {
        mark_taken_over(services_, *domain, wish_.standby);
    } else {
        forget_record();
    }
    // What QEMU was asked last is not answered any more.
    if (const Answer<> waiting = std::exchange(waiting_, nullptr)) {
        waiting(fail(ErrorCode::operation_failed,
                     "QEMU of domain '{}' ended while its protection was {}: the domain is {}, {}",
                     domain->name, was_setting_up ? "set up" : "given up",
                     name_of(domain->status.state),
                     taken_over ? "and its standby at " + wish_.standby + " may run it"
                                : std::string("and no standby is kept of it")));
    }
    end_set_up(
        fail(ErrorCode::operation_failed, "QEMU of domain '{}' ended meanwhile", domain->name));
    // The agent is to say its last words; then its files go.
    self->after(10s, [self] {
        if (self->agent_) self->agent_->terminate(1s);
        std::error_code code;
        if (!self->directory_.empty()) {
            std::filesystem::remove_all(self->directory_, code);
            forget_process(self->directory_);
        }
        self->services_.loop.post([self] { self->timer_.reset(); });
    });
}

}  // namespace segue
