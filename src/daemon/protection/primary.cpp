// SPDX-License-Identifier: LGPL-2.1-or-later
// Setting up, step by step; and undoing it. What follows from the agent's state: primary_watch.cpp.
#include "daemon/protection/primary.h"

#include <filesystem>

#include "base/log.h"
#include "daemon/domain_events.h"
#include "daemon/fault.h"
#include "daemon/guest.h"
#include "daemon/host.h"
#include "daemon/protection/arbiter.h"
#include "daemon/protection/ask.h"
#include "daemon/protection/devices.h"
#include "daemon/protection/flushes.h"
#include "daemon/protection/helper.h"
#include "daemon/protection/qemu_steps.h"
#include "domain/alias.h"
#include "net/message_code.h"
#include "protect/agent_link.h"
#include "qemu/process_record.h"

namespace segue {
namespace {

constexpr Duration kLook = 100ms;
constexpr Duration kAgentBound = 15s;
// An agent that does not answer in this time, and how often that is asked while it is set up.
constexpr Duration kHangBound = 2s, kHangLook = 500ms;
// The first state of a large guest takes its time; its silence is the agent's to judge.
constexpr Duration kFirstStateBound = 3600s;

}  // namespace

PrimaryProtection::PrimaryProtection(const Services& services, const DomainPointer& domain,
                                     ProtectionWish wish)
    : services_(services), domain_(domain), wish_(std::move(wish)) {}

PrimaryProtection::~PrimaryProtection() = default;

bool PrimaryProtection::is_tcg() const {
    const auto domain = domain_.lock();
    return domain && domain->model().type == DomainType::qemu;
}

std::string PrimaryProtection::agent_file(std::string_view name) const {
    return fmt::format("{}/{}", directory_, name);
}

Result<> PrimaryProtection::judge() const {
    const auto domain = domain_.lock();
    if (!domain || !domain->incarnation) {
        return fail(ErrorCode::operation_invalid, "domain is not running");
    }
    const Domain& model = domain->model();
    if (domain->source || domain->destination) {
        return fail(ErrorCode::operation_invalid, "domain '{}' is being migrated", domain->name);
    }
    if (!domain->status.is(DomainState::running)) {
        return fail(ErrorCode::operation_invalid,
                    "domain '{}' is {}: resume it first, a checkpoint would let it run",
                    domain->name, name_of(domain->status.state));
    }
    if (wish_.shared_storage) return judge_shared_disks(model);
    TRY(judge_screen(*domain));
    if (wish_.hybrid) TRY(check_hybrid_devices(model, wish_.gate_at_primary));
    return check_protected_devices(model);
}

void PrimaryProtection::begin(const Services& services, const DomainPointer& domain,
                              ProtectionWish wish, Answer<Json> answer) {
    if (domain->primary) {
        return answer(fail(ErrorCode::operation_invalid,
                           "domain '{}' is protected already ({}): `segue unprotect` first",
                           domain->name, name_of(domain->primary->state())));
    }
    const auto self = std::make_shared<PrimaryProtection>(services, domain, std::move(wish));
    if (const auto judged = self->judge(); !judged) return answer(tl::unexpected(judged.error()));
    domain->primary = self;
    const auto answered = self->not_lost([self, answer](Result<> done) {
        answer(done.map([&] {
            const bool is_weak = self->wish_.shared_storage;
            return Json::object(
                {{"outcome", is_weak ? fmt::format("protected: {}", self->wish_.promise())
                                     : std::string("protected")},
                 {"promise", self->wish_.promise()},
                 {"standby", self->wish_.standby}});
        }));
    });
    self->set_up([self, domain, answered](Result<> done) {
        if (done) return answered({});
        self->take_down(Force::no, [self, domain, answered, error = done.error()](Result<>) {
            // guest_gone() has left a record of its own.
            if (self->state_ != State::isolated && domain->primary == self) {
                domain->primary = nullptr;
                self->forget_record();
            }
            answered(tl::unexpected(error));
            self->end_set_up({});
        });
    });
}

Result<> PrimaryProtection::is_wanted() const {
    if (!stopped_by_.empty()) {
        return fail(ErrorCode::operation_failed, "{} while its protection was set up", stopped_by_);
    }
    if (enders_.empty()) return {};
    return fail(ErrorCode::operation_failed, "protection was given up while it was set up");
}

// Behind take_down(): whoever has asked for it hears.
void PrimaryProtection::end_set_up(const Result<>& outcome) {
    for (const Answer<>& answer : std::exchange(enders_, {})) {
        if (state_ != State::isolated) {
            answer(outcome);
        } else {
            answer(fail(ErrorCode::operation_failed, "{}", reason_));
        }
    }
}

void PrimaryProtection::watch_set_up() {
    const Self self = shared_from_this();
    set_up_watch_ = services_.loop.make_timer([self] {
        if (self->state_ != State::setting_up || !self->agent_) return;
        ask_helper(
            self->services_, self->agent_file("control.sock"), Json::object({{"cmd", "status"}}),
            [self](Result<Json> said) {
                if (self->state_ != State::setting_up || !self->agent_) return;
                if (!said && said.error().code == ErrorCode::timeout) {
                    log_warning("daemon", "segue-agent hangs while it is set up: it is killed");
                    self->agent_is_dead_ = true;
                    return self->agent_->kill();
                }
                if (self->set_up_watch_) self->set_up_watch_->start(kHangLook);
            },
            kHangBound);
    });
    set_up_watch_->start(kHangLook);
}

// Answered once, whoever comes first.
Answer<> PrimaryProtection::not_lost(Answer<> answer) {
    waiting_ = [answer = std::make_shared<Answer<>>(std::move(answer))](Result<> done) {
        if (*answer) std::exchange(*answer, nullptr)(std::move(done));
    };
    return waiting_;
}

// -- up

void PrimaryProtection::set_up(Answer<> answer) {
    enter(State::setting_up);
    pilot_ = IntervalPilot();
    plugged_ = was_paused_ = stays_still_ = paused_ = holds_ = false;
    stopped_by_.clear();
    key_ = Uuid::random(services_.random).text();
    directory_ = services_.settings.state + "/protection/" + key_;
    Bytes secret(16);
    services_.random.fill(secret);
    secret_ = to_hex(secret.data(), secret.size());
    const Self self = shared_from_this();
    std::vector<Step> steps;
    steps.push_back([self](Answer<> done) { self->try_emulator(std::move(done)); });
    steps.push_back([self](Answer<> done) { self->measure_devices(std::move(done)); });
    steps.push_back([self](Answer<> done) { self->open_witness(std::move(done)); });
    steps.push_back([self](Answer<> done) { self->prepare_standby(std::move(done)); });
    steps.push_back([self](Answer<> done) { self->start_agent(std::move(done)); });
    steps.push_back([self](Answer<> done) {
        self->wait_for_agent("ready", self->services_.loop.now() + kAgentBound, std::move(done));
    });
    // Made when their turn has come: what stands on a disk and a card is known by then.
    steps.push_back([self](Answer<> done) {
        self->plugged_ = true;
        run_steps(self->qemu_steps(), std::move(done));
    });
    steps.push_back([self](Answer<> done) {
        self->wait_for_agent("protected", self->services_.loop.now() + kFirstStateBound,
                             std::move(done));
    });
    run_steps(std::move(steps), [self, answer](Result<> done) {
        self->services_.loop.post([self] { self->set_up_watch_.reset(); });
        if (done) done = self->is_wanted();
        if (!done) {
            self->reason_ = done.error().message;
            return answer(std::move(done));
        }
        self->reason_.clear();
        self->enter(State::guarding);
        self->log_event("protected, standby at " + self->wish_.standby);
        self->look();
        answer({});
    });
}

// Its key is made of ours: it cannot speak as agent or standby.
void PrimaryProtection::open_witness(Answer<> done) {
    const auto domain = domain_.lock();
    if (!wish_.has_witness() || !domain) return done({});
    const auto key = parse_agent_key(secret_);
    if (!key) return done(tl::unexpected(key.error()));
    const auto code = net::message_code(*key, as_bytes("witness"));
    const Json arguments = Json::object(
        {{"key", key_}, {"secret", to_hex(code.data(), code.size())}, {"name", domain->name}});
    ask_arbiter(services_, wish_.witness, "witness-open", arguments,
                [self = shared_from_this(), done](Result<Json> said) {
                    if (!said) {
                        return done(fail(said.error().code, "the witness '{}': {}",
                                         self->wish_.witness, said.error().message));
                    }
                    self->witness_address_ = said->text("address");
                    self->witness_host_ = said->text("host");
                    if (self->witness_host_ != self->services_.identity.uuid.text())
                        return done({});
                    done(fail(ErrorCode::operation_invalid,
                              "a witness is a third host: '{}' is this one", self->wish_.witness));
                });
}

// It watches for nobody any more.
void PrimaryProtection::release_witness() {
    if (!wish_.has_witness() || key_.empty()) return;
    ask_arbiter(services_, wish_.witness, "witness-end", Json::object({{"key", key_}}),
                [](Result<Json>) {});
}

void PrimaryProtection::prepare_standby(Answer<> done) {
    const auto domain = domain_.lock();
    if (!domain || !domain->incarnation) return done(fail(ErrorCode::no_domain, "it is gone"));
    Json disks = Json::array();
    for (const MirroredDisk& disk : disks_)
        disks.push(disk.bytes);
    const Json arguments =
        Json::object({{"key", key_},
                      {"secret", secret_},
                      {"xml", print_domain(domain->incarnation->live,
                                           {.secure = true, .inactive = true, .migratable = true})},
                      {"persistent", domain->is_persistent()},
                      {"disks", disks},
                      {"shared_disks", shared_disks_},
                      {"gate", gate_at_primary_ ? "primary" : "standby"},
                      {"mode", wish_.mode()},
                      {"on_loss", wish_.on_loss()},
                      {"witness", witness_address_},
                      {"witness_host", witness_host_},
                      {"witness_uri", wish_.witness},
                      {"link_version", protect::agent::kVersion},
                      {"host", services_.identity.uuid.text()}});
    ask_daemon(services_, wish_.standby, "standby-prepare", arguments,
               [self = shared_from_this(), done](Result<Json> said) {
                   if (!said) {
                       return done(fail(said.error().code, "the standby '{}': {}",
                                        self->wish_.standby, said.error().message));
                   }
                   // It has let our version in; an older one does not look.
                   const std::uint64_t theirs = said->u64("link_version");
                   if (theirs != protect::agent::kVersion) {
                       return done(tl::unexpected(other_version(self->wish_.standby, theirs)));
                   }
                   self->standby_address_ = said->text("address");
                   self->tls_ = said->flag("tls");
                   self->tls_name_ = said->text("tls_name");
                   self->standby_host_ = said->text("host");
                   self->promotion_us_ = said->i64("promotion_us");
                   self->screen_ = (*said)["screen"];
                   done({});
               });
}

void PrimaryProtection::start_agent(Answer<> done) {
    const auto domain = domain_.lock();
    const auto guest = domain ? domain->running_guest() : fail(ErrorCode::no_domain, "it is gone");
    if (!guest) return done(tl::unexpected(guest.error()));
    std::error_code code;
    std::filesystem::create_directories(services_.settings.state + "/protection", code);
    HelperStart start;
    start.program = "segue-agent";
    start.directory = directory_;
    start.arguments = {"--state",   directory_,
                       "--standby", standby_address_,
                       "--gate",    gate_at_primary_ ? "primary" : "standby",
                       "--mode",    std::string(wish_.mode()),
                       "--on-loss", std::string(wish_.on_loss()),
                       "--qemu",    std::to_string((*guest)->pid())};
    const auto add = [&start](const char* option, std::uint64_t value) {
        start.arguments.insert(start.arguments.end(), {option, std::to_string(value)});
    };
    add("--cards", netdevs_.size());
    for (const MirroredDisk& disk : disks_)
        add("--disk-bytes", disk.bytes);
    if (wish_.has_witness()) {
        start.arguments.insert(start.arguments.end(),
                               {"--witness", witness_address_ + "," + key_, "--witness-tls",
                                services_.settings.tls_directory});
    }
    if (has_screen_socket(*domain) && !wish_.shared_storage) {
        start.arguments.insert(start.arguments.end(), {"--screen", screen_socket(*domain)});
        if (!wish_.screen_held) start.arguments.push_back("--picture-passes");
    }
    if (tls_) {
        start.arguments.insert(start.arguments.end(), {"--tls", services_.settings.tls_directory,
                                                       "--tls-name", tls_name_});
    }
    start.environment = {{"SEGUE_AGENT_KEY", secret_}};
    auto started = start_helper(services_, start);
    if (!started) return done(tl::unexpected(started.error()));
    agent_ = std::move(*started);
    save();
    watch_set_up();
    done({});
}

void PrimaryProtection::wait_for_agent(const std::string& wanted, Instant until, Answer<> done) {
    if (!agent_ || !agent_->running()) {
        return done(fail(ErrorCode::operation_failed, "segue-agent ended: {}",
                         log_tail(agent_file("log"))));
    }
    if (const auto still = is_wanted(); !still) return done(tl::unexpected(still.error()));
    if (services_.loop.now() > until) {
        return done(fail(ErrorCode::timeout, "segue-agent was not '{}' in time", wanted));
    }
    const Self self = shared_from_this();
    ask_helper(
        services_, agent_file("control.sock"), Json::object({{"cmd", "status"}}),
        [self, wanted, until, done](Result<Json> said) {
            if (said) {
                self->figures_ = *said;
                const std::string_view state = said->text("state");
                if (state == wanted) return done({});
                if (state == "lost" || state == "isolated" || state == "dead" || state == "ended") {
                    return done(fail(ErrorCode::operation_failed, "segue-agent is {}: {}", state,
                                     said->text("reason")));
                }
            }
            self->after(kLook,
                        [self, wanted, until, done] { self->wait_for_agent(wanted, until, done); });
        });
}

std::vector<Step> PrimaryProtection::qemu_steps() {
    std::vector<Step> steps;
    const auto domain = domain_.lock();
    if (!domain || !domain->incarnation) return steps;
    for (std::size_t card = 0; card < netdevs_.size(); ++card)
        plug_network(steps, domain, {card, netdevs_[card], directory_});
    // What is shared must be durable there.
    if (!wish_.shared_storage) skip_flushes(steps, domain);
    for (std::size_t disk = 0; disk < disks_.size(); ++disk)
        plug_disk(steps, services_, domain, {disk, disks_[disk].node, directory_},
                  [self = shared_from_this()] { return self->is_wanted(); });
    // From here on QEMU lets the guest run, also one that it has stopped by itself.
    steps.push_back([self = shared_from_this()](Answer<> done) { done(self->is_wanted()); });
    begin_checkpoints(steps, domain, wish_.interval_ms, is_tcg(), directory_);
    return steps;
}

// -- down

void PrimaryProtection::take_down(Force force, Answer<> done) {
    const bool sets_up = state_ == State::setting_up, was_alone = state_ == State::unprotected;
    // A first state may have been committed there before anybody here has heard of it.
    const bool could_win =
        standby_may_win() && (state_ == State::guarding || (sets_up && plugged_));
    const auto before = domain_.lock();
    stays_still_ = stays_still_ || paused_;
    const bool stays_paused =
        stays_still_ || was_paused_ ||
        (state_ == State::unprotected && before && before->status.is(DomainState::paused));
    // Until it is known to know better: this host may end on the way.
    may_have_taken_over_ = may_have_taken_over_ || could_win;
    enter(State::taking_down);
    const Self self = shared_from_this();
    std::vector<Step> steps;
    // First: QEMU is answered from here on, and the standby knows that it is over (the agent waits
    // for that, within a bound of its own). An agent that says nothing may not have told it.
    steps.push_back([self, force, sets_up, could_win](Answer<> next) {
        const bool speaks = self->agent_ && self->agent_->running() && !self->agent_is_dead_;
        if (speaks) return self->ask_agent_to_end(force, could_win, std::move(next));
        self->end_without_agent(force, sets_up, could_win, std::move(next));
    });
    const auto domain = domain_.lock();
    const bool is_free = (sets_up || stays_paused || was_alone) && !plugged_;
    if (!is_free && domain && domain->incarnation && domain->incarnation->guest) {
        steps.push_back([](Answer<> next) {
            fault_point({"primary", "unplug", "before"});
            next({});
        });
        if (agent_is_dead_) yank(steps, domain);
        end_checkpoints(steps, services_, domain);
        for (std::size_t card = 0; card < netdevs_.size(); ++card)
            unplug_network(steps, domain, card);
        unplug_disks(steps, services_, domain, disks_.size());
        keep_flushes(steps, domain);
        steps.push_back([self, domain, stays_paused](Answer<> next) {
            if (stays_paused) self->stop_guest();
            const auto guest = domain->running_guest();
            if (!guest || stays_paused) return next({});
            (*guest)->execute("cont", {}, [self, domain, next](Result<Json> said) {
                const bool resumed = said && !domain->status.is(DomainState::running);
                if (resumed) set_status(self->services_, *domain, RunningReason::unpaused);
                next({});
            });
        });
    }
    run_steps(std::move(steps), [self, done](Result<> outcome) {
        if (self->state_ == State::isolated) return done(std::move(outcome));
        self->plugged_ = self->was_paused_ = self->stays_still_ = self->paused_ = false;
        if (std::exchange(self->may_have_taken_over_, false)) self->save();
        if (self->decided_at_ != Instant{}) {
            self->alone_after_us_ = to_us(self->services_.loop.now() - self->decided_at_);
            self->decided_at_ = {};
        }
        if (self->agent_) self->agent_->terminate(2s);
        self->let_screen_pass();
        self->sync_images();
        self->release_witness();
        self->release_standby([self, done](Result<>) {
            self->agent_.reset();
            self->agent_is_dead_ = false;
            std::error_code code;
            if (!self->directory_.empty()) {
                std::filesystem::remove_all(self->directory_, code);
                forget_process(self->directory_);
            }
            done({});
        });
    });
}

void PrimaryProtection::end_without_agent(Force force, bool sets_up, bool could_win,
                                          Answer<> next) {
    // Of a guest that was protected the bias, or the witness, has decided already.
    const bool is_decided = agent_is_dead_ || !plugged_ || force == Force::yes;
    if (!could_win || (!sets_up && is_decided)) return next({});
    if (sets_up) return ask_standby_to_end(std::move(next));
    agent_is_dead_ = true;
    reason_ = "segue-agent has ended";
    stand_still();
    next(fail(ErrorCode::operation_failed, "{}", reason_));
}

void PrimaryProtection::ask_agent_to_end(Force force, bool could_win, Answer<> next) {
    const Self self = shared_from_this();
    ask_helper(
        services_, agent_file("control.sock"),
        Json::object({{"cmd", "end"}, {"force", force == Force::yes}, {"still", stays_still_}}),
        [self, next, force, could_win](Result<Json> said) {
            const bool unsure = !said && could_win && force == Force::no;
            if (!is_refused(said) && !unsure) {
                self->may_have_taken_over_ = false;
                self->save();
                return next({});
            }
            self->reason_ = said.error().message;
            self->stand_still();
            next(tl::unexpected(said.error()));
        },
        20s);
}

// Its agent has ended, or hangs, behind a first state that the standby may have committed: only the
// standby's own word lets the guest go on.
void PrimaryProtection::ask_standby_to_end(Answer<> next) {
    const Self self = shared_from_this();
    ask_daemon(services_, wish_.standby, "standby-end", Json::object({{"key", key_}}),
               [self, next](Result<Json> said) {
                   if (said || said.error().code == ErrorCode::no_domain) {
                       self->may_have_taken_over_ = false;
                       self->save();
                       return next({});
                   }
                   self->reason_ = said.error().message;
                   self->stand_still();
                   next(tl::unexpected(said.error()));
               });
}

// The standby's daemon may be gone: it will find out by itself, and this guest must not wait.
void PrimaryProtection::release_standby(Answer<> done) {
    if (key_.empty()) return done({});
    ask_daemon(services_, wish_.standby, "standby-end", Json::object({{"key", key_}}),
               [done](Result<Json>) { done({}); });
}

}  // namespace segue
