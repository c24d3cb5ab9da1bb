// SPDX-License-Identifier: LGPL-2.1-or-later
// A standby while it stands by: segue-standby's state, and what follows from it.
#include <filesystem>

#include "base/log.h"
#include "daemon/domain_events.h"
#include "daemon/domain_list.h"
#include "daemon/guest.h"
#include "daemon/life.h"
#include "daemon/protection/arbiter.h"
#include "daemon/protection/ask.h"
#include "daemon/protection/devices.h"
#include "daemon/protection/helper.h"
#include "daemon/protection/primary.h"
#include "daemon/protection/promotions.h"
#include "daemon/protection/standby.h"
#include "daemon/protection/waker.h"
#include "daemon/spice_line.h"
#include "domain/alias.h"
#include "qemu/process_record.h"

namespace segue {
namespace {

constexpr Duration kLook = 200ms;
// A guest that runs on what segue-standby serves.
constexpr Duration kLookAtServer = 1s;

}  // namespace

void StandbyProtection::after(Duration delay, std::function<void()> what) {
    timer_ = services_.loop.make_timer(std::move(what));
    timer_->start(delay);
}

storage::ProtectionRecord StandbyProtection::record() const {
    storage::ProtectionRecord record;
    record.domain = live_.uuid;
    record.role = "standby";
    record.state = state_ == State::promoted ? "promoted" : "standby";
    record.epoch = figures_.i64("epoch");
    record.peer = primary_host_;
    Json settings =
        Json::object({{"key", key_},
                      {"made_definition", made_definition_},
                      {"keeps_definition", keeps_definition_},
                      {"witness_uri", witness_uri_},
                      {"former_by", former_by_},
                      {"started_with", started_with_},
                      {"live", print_domain(live_, {.secure = true, .inactive = false})}});
    record.settings = settings.dump();
    return record;
}

void StandbyProtection::save() const {
    const auto domain = domain_.lock();
    if (!domain || domain->standby.get() != this) return;
    if (domain->primary) return domain->primary->save();
    if (const auto saved = services_.store.commit({record()}); !saved) {
        log_error("daemon", "domain '{}': {}", domain->name, saved.error().message);
    }
}

void StandbyProtection::restore(const Services& services, const DomainPointer& domain,
                                const storage::ProtectionRecord& record) {
    const auto settings = Json::parse(record.settings);
    const std::string former_by(settings ? settings->text("former_by") : "");
    if (!former_by.empty()) domain->unresolved = taken_over_text(*domain, former_by);
    auto live =
        settings ? parse_printed_domain(settings->text("live")) : tl::unexpected(settings.error());
    if (!live) return log_error("daemon", "domain '{}': {}", domain->name, live.error().message);
    const auto self = std::make_shared<StandbyProtection>(services, domain);
    self->key_ = settings->text("key");
    self->directory_ = services.settings.state + "/protection/" + self->key_;
    self->primary_host_ = record.peer;
    self->made_definition_ = settings->flag("made_definition");
    self->keeps_definition_ = settings->flag("keeps_definition");
    self->witness_uri_ = settings->text("witness_uri");
    self->former_by_ = former_by;
    self->started_with_ = (*settings)["started_with"];
    self->live_ = std::move(*live);
    assign_aliases(self->live_);
    if (record.state == "promoted") self->state_ = State::promoted;
    domain->standby = self;
    if (auto helper = adopt_helper(services, self->directory_)) {
        self->helper_ = std::move(*helper);
        log_info("daemon", "domain '{}': its segue-standby is adopted", domain->name);
    }
    self->look();
}

void StandbyProtection::look() {
    const auto domain = domain_.lock();
    if (!domain || domain->standby.get() != this) return;
    const auto self = shared_from_this();
    // Its guest ended while nobody looked.
    if (state_ == State::promoted && !domain->is_active()) return remove();
    if (!helper_ || !helper_->running()) return helper_ended();
    if (state_ == State::promoted) return after(kLookAtServer, [self] { self->look(); });
    ask_helper(services_, file("standby/control.sock"), Json::object({{"cmd", "status"}}),
               [self, domain](Result<Json> said) {
                   if (domain->standby != self) return;
                   if (said) self->looked(*said);
                   if (domain->standby != self) return;
                   self->after(kLook, [self] { self->look(); });
               });
}

void StandbyProtection::looked(const Json& said) {
    figures_ = said;
    const std::string_view state = said.text("state");
    if (state == "promoted" && state_ != State::promoted) {
        return guest_lives() ? take_over(said) : ran_and_ended();
    }
    if (state_ == State::promoting) return;
    if (rescues_ > 0) return started_again(state);
    state_ = said.flag("linked") ? State::standing_by : State::waiting;
}

void StandbyProtection::promote(bool force, Answer<Json> answer) {
    if (state_ == State::promoted) {
        return answer(fail(ErrorCode::operation_invalid, "the standby has taken over already"));
    }
    const auto self = shared_from_this();
    ask_helper(
        services_, file("standby/control.sock"),
        Json::object({{"cmd", "promote"}, {"force", force}}),
        [self, answer](Result<Json> said) {
            if (!said) {
                return answer(
                    fail(is_refused(said) ? ErrorCode::operation_invalid : said.error().code, "{}",
                         said.error().message));
            }
            self->look();
            Json out = *said;
            out.set("outcome", fmt::format("the standby runs from epoch {}", said->u64("epoch")));
            answer(out);
        },
        90s);
}

void StandbyProtection::tell_promotion(Answer<Json> answer) {
    if (state_ == State::promoted) return answer(Json::object({{"promotion", "yes"}}));
    ask_helper(services_, file("standby/control.sock"), Json::object({{"cmd", "status"}}),
               [answer](Result<Json> said) {
                   answer(said.map([](const Json& status) {
                       return Json::object({{"promotion", status.text("promotion")}});
                   }));
               });
}

void StandbyProtection::promote_frozen(Answer<Json> answer) {
    const auto self = shared_from_this();
    promote(true, [self, answer](Result<Json> promoted) {
        if (promoted || promoted.error().code != ErrorCode::operation_invalid) {
            return answer(std::move(promoted));
        }
        // Refused, or begun by itself a moment before.
        self->tell_promotion([self, answer, why = promoted.error()](Result<Json> said) {
            const std::string_view promotion = said ? said->text("promotion") : "maybe";
            if (promotion == "no") return answer(tl::unexpected(why));
            if (promotion != "yes") {
                return answer(fail(ErrorCode::operation_failed, "{}", why.message));
            }
            self->look();
            answer(Json::object({{"outcome", "the standby runs already"}}));
        });
    });
}

// The QEMU runs already; it becomes a domain of this host.
void StandbyProtection::take_over(const Json& said) {
    const auto domain = domain_.lock();
    if (!domain || domain->is_active()) return;
    state_ = State::promoted;
    former_by_.clear();
    domain->unresolved.clear();
    if (said.find("promotion_us") != nullptr) {
        note_promotion(services_, domain->uuid,
                       {said.i64("promotion_us"), said.flag("was_prestarted")});
    }
    const std::string directory = services_.settings.state + "/domains/" + key_;
    std::error_code code;
    std::filesystem::create_directories(directory, code);
    std::filesystem::permissions(directory, std::filesystem::perms::owner_all, code);
    std::filesystem::create_symlink(file("standby/qmp.sock"), directory + "/monitor.sock", code);
    std::filesystem::create_symlink(SpiceLine::path_in(directory_), SpiceLine::path_in(directory),
                                    code);
    // The helper is no more to be believed than its QEMU.
    const auto identity = identify_in(said.i64("vm_pid"), directory_);
    if (identity) (void)write_pid_file(pid_file_beside(directory), *identity);
    if (made_definition_ && !keeps_definition_) domain->persistent.reset();
    if (keeps_definition_) {
        // Where its disk is now.
        auto kept = parse_printed_domain(print_domain(live_, {.secure = true}));
        if (kept) domain->persistent = std::move(*kept);
    }
    const auto self = shared_from_this();
    adopt_guest(services_, domain, live_, key_, [self, domain](Result<> adopted) {
        if (!adopted) {
            return log_error("daemon", "domain '{}': {}", domain->name, adopted.error().message);
        }
        // Passwords: not of the command line's own, so that they are there behind a restart, too.
        const auto line = build_command_line(self->live_, self->command_line_options());
        if (!line) log_error("daemon", "domain '{}': {}", domain->name, line.error().message);
        for (const QmpCommand& command : line ? line->after_start : std::vector<QmpCommand>()) {
            domain->incarnation->guest->run(command.name, command.arguments, [](Result<>) {});
        }
        // Its user has paused it before.
        const bool paused = self->figures_.flag("paused");
        const bool is_new = self->is_shared();
        paused ? set_status(self->services_, *domain, PausedReason::user)
               : set_status(self->services_, *domain,
                            is_new ? RunningReason::booted : RunningReason::migrated);
        publish(self->services_, *domain, is_new ? lifecycle::kBooted : lifecycle::kArrived);
        if (paused || !is_new) {
            publish(self->services_, *domain,
                    paused ? lifecycle::kPaused : lifecycle::kResumedByMigration);
        }
        // The epoch may be of the moment in which it went to sleep.
        if (!paused && !is_new) {
            Waker::wake_half_asleep(self->services_, domain, [name = domain->name](Result<> done) {
                if (done) return;
                log_error("daemon", "domain '{}': {}", name, done.error().message);
            });
        }
        const std::string text =
            is_new ? std::string("took over: it starts anew from its shared disks")
                   : fmt::format("took over from epoch {}", self->figures_.u64("epoch"));
        log_warning("daemon", "domain '{}': {}", domain->name, text);
        self->services_.event_log.add(self->services_.wall_ms(), "protection", domain->name, text);
        if (const auto saved = self->services_.domains.save(*domain); !saved) {
            log_error("daemon", "domain '{}': {}", domain->name, saved.error().message);
        }
        self->save();
    });
}

// The image is written by segue-standby: another host, or another process, would see neither what
// that still holds nor what it writes.
Result<> StandbyProtection::may_move() const {
    if (state_ != State::promoted || is_shared() || writable_disks(live_).empty()) return {};
    return fail(ErrorCode::operation_invalid,
                "domain '{}' runs on disks that segue-standby serves since it took over here: "
                "`segue protect {} --standby URI` and then `segue failover {} --planned` move it; "
                "or shut it off and start it again first",
                live_.name, live_.name, live_.name);
}

Result<> StandbyProtection::end() {
    const auto domain = domain_.lock();
    if (state_ == State::promoted && domain && domain->is_active()) {
        return fail(ErrorCode::operation_invalid,
                    "domain '{}' runs on what its standby holds: it has no standby to give up",
                    domain->name);
    }
    // It decides by itself, and may have done so a moment ago.
    if (state_ != State::promoted && facts().flag("promoted") && domain && guest_lives()) {
        return fail(ErrorCode::operation_invalid,
                    "domain '{}' is being taken over by its standby at this host", domain->name);
    }
    remove();
    return {};
}

void StandbyProtection::guest_gone() {
    if (state_ == State::promoted) remove();
}

// Process, files, ports, record, and a definition that was only made to be listed.
// Until its disks are whole it stands in the way of a start, and of another standby.
void StandbyProtection::remove() {
    timer_.reset();
    const bool is_held = helper_ && helper_->running();
    auto logs = is_held ? std::vector<DiskLog>() : left_logs();
    if (!logs.empty()) return fold_disks(std::move(logs));
    removed(true);
}

void StandbyProtection::removed(bool folded) {
    const auto self = shared_from_this();
    const auto domain = domain_.lock();
    for (const std::uint16_t port : std::exchange(ports_, {}))
        services_.spice_ports.give_back(port);
    if (agent_port_ != 0) services_.migration_ports.give_back(std::exchange(agent_port_, 0));
    if (domain && domain->standby == self) {
        domain->standby = nullptr;
        if (!former_by_.empty()) {
            // It runs where it went: what stood here before stands again.
            mark_taken_over(services_, *domain, former_by_);
        } else if (!domain->primary && domain->unresolved.empty()) {
            (void)services_.store.commit({storage::EraseProtection{domain->uuid}});
        }
        if (made_definition_ && !domain->is_active() && state_ != State::promoted) {
            domain->persistent.reset();
        }
        services_.domains.forget_if_nothing_is_left(*domain);
    }
    // Before that it is the primary's to say that nobody needs its witness.
    if (!witness_uri_.empty() && state_ == State::promoted) {
        ask_arbiter(services_, witness_uri_, "witness-end", Json::object({{"key", key_}}),
                    [](Result<Json>) {});
    }
    // It forgets what it holds, and ends; whatever is left after that is ended.
    const auto finish = [self](Result<Json>) {
        if (self->helper_) self->helper_->terminate(2s);
        self->after(3s, [self] {
            self->end_prestarted();
            std::error_code code;
            std::filesystem::remove_all(self->directory_, code);
            forget_process(self->directory_);
            sweep_memory_of_standbys(self->services_);
            self->services_.loop.post([self] { self->timer_.reset(); });
        });
    };
    if (!helper_ || !helper_->running()) {
        return folded ? finish(Json()) : end_prestarted();
    }
    ask_helper(services_, file("standby/control.sock"), Json::object({{"cmd", "end"}}), finish, 5s);
}

Json StandbyProtection::status() const {
    const std::string_view said = figures_.text("state");
    std::string_view state = "unprotected";
    if (state_ == State::promoted) state = "promoted";
    if (said == "protected") state = "protected";
    if (said == "syncing") state = "syncing";
    if (state_ == State::promoted) state = "promoted";
    Json out = Json::object({{"role", "standby"},
                             {"state", state},
                             {"detail", said},
                             {"epoch", figures_.u64("epoch")},
                             {"primary_linked", figures_.flag("linked")},
                             {"prestarted", figures_.flag("prestarted")},
                             {"storage", is_shared() ? "shared" : "copied"}});
    for (const char* name :
         {"checkpoints", "commit_us", "held_frames", "dropped_frames", "disk_log_bytes", "on_loss",
          "lost_at", "witness", "promotion_us", "waits_for_disks", "hybrid"}) {
        if (const Json* figure = figures_.find(name)) out.set(name, *figure);
    }
    return out;
}

}  // namespace segue
