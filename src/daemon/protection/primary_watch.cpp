// SPDX-License-Identifier: LGPL-2.1-or-later
// A protected domain while it is protected: the agent's state, and what follows from it.
#include <filesystem>

#include "base/log.h"
#include "daemon/domain_events.h"
#include "daemon/domain_list.h"
#include "daemon/guest.h"
#include "daemon/life.h"
#include "daemon/protection/ask.h"
#include "daemon/protection/helper.h"
#include "daemon/protection/primary.h"
#include "daemon/protection/standby.h"
#include "daemon/spice_line.h"
#include "qemu/process_record.h"

namespace segue {
namespace {

constexpr Duration kLook = 200ms;
// An agent whose loop does not come round in this time holds the guest's writes.
constexpr Duration kAgentBound = 2s;
// A QEMU whose server does not take a word in this time is busy with worse.
constexpr Duration kViewersBound = 2s;

}  // namespace

void mark_taken_over(const Services& services, DomainObject& domain, const std::string& by) {
    storage::ProtectionRecord record;
    record.domain = domain.uuid;
    record.role = "former";
    record.peer = by;
    record.settings = "{}";
    (void)services.store.commit({record});
    domain.unresolved = taken_over_text(domain, by);
}

std::string taken_over_text(const DomainObject& domain, const std::string& by) {
    return fmt::format(
        "domain '{}' was taken over by its standby at {}: starting it here would make a second "
        "copy; `segue unprotect {}` allows it when the other is gone",
        domain.name, by, domain.name);
}

Result<std::string> taken_over_by(const Services& services, const DomainObject& domain) {
    for (const storage::ProtectionRecord& record : TRY(services.store.protections()))
        if (record.domain == domain.uuid && record.role == "former") return record.peer;
    return std::string();
}

void forget_taken_over(const Services& services, DomainObject& domain) {
    domain.unresolved.clear();
    (void)services.store.commit({storage::EraseProtection{domain.uuid}});
}

std::string_view name_of(PrimaryProtection::State state) {
    switch (state) {
        case PrimaryProtection::State::setting_up: return "syncing";
        case PrimaryProtection::State::guarding: return "protected";
        case PrimaryProtection::State::taking_down:
        case PrimaryProtection::State::unprotected: return "unprotected";
        case PrimaryProtection::State::isolated: return "isolated";
        case PrimaryProtection::State::moving: return "moving";
    }
    return "unknown";
}

void PrimaryProtection::enter(State state) {
    state_ = state;
    const auto domain = domain_.lock();
    if (!domain) return;
    log_info("daemon", "domain '{}': protection is {}", domain->name, name_of(state));
    services_.metrics.gauge("segue_protection_state",
                            "1: protected by a standby, 0: not, though it should be",
                            {{"domain", domain->name}}) = state == State::guarding ? 1 : 0;
    tell_viewers(state == State::isolated ? spice::control::StandbySource::stands_still
                                          : spice::control::StandbySource::runs);
    save();
}

// A library that is not ours has no such socket, and its viewers are not told.
void PrimaryProtection::tell_viewers(spice::control::StandbySource source, Answer<> told) {
    const auto domain = domain_.lock();
    if (!domain || !domain->incarnation) return told({});
    const bool known =
        state_ == State::guarding || state_ == State::moving || state_ == State::isolated;
    const Json place = Json::object({{"cmd", "standby"},
                                     {"host", known ? screen_.text("host") : ""},
                                     {"port", screen_.u64("port")},
                                     {"tls_port", screen_.u64("tls_port")},
                                     {"source", spice::control::name_of(source)}});
    if (!known && !told_viewers_) return told({});
    if (place.dump() == told_viewers_) return told({});
    told_viewers_ = place.dump();
    ask_helper(
        services_, SpiceLine::path_in(domain->incarnation->directory), place,
        [told](Result<Json>) { told({}); }, kViewersBound);
}

void PrimaryProtection::log_event(const std::string& text) const {
    const auto domain = domain_.lock();
    services_.event_log.add(services_.wall_ms(), "protection", domain ? domain->name : "", text);
}

void PrimaryProtection::after(Duration delay, std::function<void()> what) {
    timer_ = services_.loop.make_timer(std::move(what));
    timer_->start(delay);
}

void PrimaryProtection::save() const {
    const auto domain = domain_.lock();
    if (!domain || domain->primary.get() != this) return;
    storage::ProtectionRecord record;
    record.domain = domain->uuid;
    record.role = "primary";
    record.state = name_of(state_);
    record.epoch = figures_.i64("epoch");
    record.peer = wish_.standby;
    Json settings = wish_.json();
    settings.set("key", key_);
    Json netdevs = Json::array(), disks = Json::array();
    for (const std::string& netdev : netdevs_)
        netdevs.push(netdev);
    for (const MirroredDisk& disk : disks_)
        disks.push(
            Json::object({{"node", disk.node}, {"bytes", disk.bytes}, {"image", disk.image}}));
    settings.set("netdevs", netdevs);
    settings.set("disks", disks);
    settings.set("promotion_us", promotion_us_);
    settings.set("gate_at_primary", gate_at_primary_);
    settings.set("screen", screen_);
    settings.set("may_have_taken_over", may_have_taken_over_);
    settings.set("paused", paused_);
    settings.set("standby_host", standby_host_);
    settings.set("witness_host", witness_host_);
    // Nothing of it is in QEMU any more.
    settings.set("alone", state_ == State::unprotected);
    if (domain->standby) {
        const storage::ProtectionRecord below = domain->standby->record();
        settings.set("runs_on", Json::object({{"state", below.state},
                                              {"peer", below.peer},
                                              {"settings", below.settings}}));
    }
    record.settings = settings.dump();
    if (const auto saved = services_.store.commit({record}); !saved) {
        log_error("daemon", "domain '{}': {}", domain->name, saved.error().message);
    }
}

void PrimaryProtection::forget_record() const {
    const auto domain = domain_.lock();
    if (!domain) return;
    if (domain->standby) return domain->standby->save();
    (void)services_.store.commit({storage::EraseProtection{domain->uuid}});
}

void PrimaryProtection::take_settings(const Json& settings) {
    key_ = settings.text("key");
    for (const Json& netdev : settings["netdevs"].items())
        netdevs_.emplace_back(netdev.as_text().value_or(""));
    for (const Json& disk : settings["disks"].items())
        disks_.push_back(
            {std::string(disk.text("node")), disk.u64("bytes"), std::string(disk.text("image"))});
    promotion_us_ = settings.i64("promotion_us");
    gate_at_primary_ = settings.flag("gate_at_primary");
    screen_ = settings["screen"];
    standby_host_ = settings.text("standby_host");
    witness_host_ = settings.text("witness_host");
    may_have_taken_over_ = settings.flag("may_have_taken_over");
    paused_ = settings.flag("paused");
}

void PrimaryProtection::restore(const Services& services, const DomainPointer& domain,
                                const storage::ProtectionRecord& record) {
    const auto settings = Json::parse(record.settings);
    if (settings && settings->find("runs_on") != nullptr) {
        const Json& below = (*settings)["runs_on"];
        storage::ProtectionRecord inner = record;
        inner.state = below.text("state");
        inner.peer = below.text("peer");
        inner.settings = below.text("settings");
        StandbyProtection::restore(services, domain, inner);
    }
    auto wish = settings ? ProtectionWish::parse(*settings) : tl::unexpected(settings.error());
    if (!wish) return log_error("daemon", "domain '{}': {}", domain->name, wish.error().message);
    const auto self = std::make_shared<PrimaryProtection>(services, domain, std::move(*wish));
    self->take_settings(*settings);
    self->told_viewers_ = "what the daemon before us said";
    domain->primary = self;
    // None has been begun since it came here: it has no folder that could go with it.
    if (!self->key_.empty()) {
        self->directory_ = services.settings.state + "/protection/" + self->key_;
        auto agent = adopt_helper(services, self->directory_);
        if (agent) self->agent_ = std::move(*agent);
    }
    const bool moved = record.state == "moving";
    if (record.state == "isolated" || moved) {
        self->state_ = State::isolated;
        self->may_have_taken_over_ = true;
        self->plugged_ = true;
        self->reason_ = "the standby may have taken over";
        self->save();
        // The daemon before us may have ended between its record and this command. A QEMU that
        // hangs hears it first of all when it answers.
        if (const auto guest = domain->running_guest()) {
            (*guest)->when_steerable([guest = *guest](Result<> steerable) {
                if (steerable) guest->execute("stop", [](Result<>) {});
            });
            // A checkpoint that it stands still in is no pause to QEMU.
            set_status(services, *domain, PausedReason::unknown);
        }
        self->tell_viewers(spice::control::StandbySource::stands_still);
        self->ask_whether_paused();
        if (moved) self->ask_whether_moved();
        return;
    }
    // A migration may be under way in its QEMU.
    if (settings->flag("alone")) {
        self->reason_ = "segued was started again";
        return self->wait_alone();
    }
    self->state_ = State::guarding;
    const bool was_alone =
        record.state == name_of(State::unprotected) && !self->may_have_taken_over_;
    self->was_paused_ = was_alone && domain->status.is(DomainState::paused);
    self->plugged_ = !was_alone;
    if (!self->agent_ && !was_alone) return self->agent_is_of_no_use("segue-agent is gone");
    if (record.state != name_of(State::guarding)) {
        self->reason_ = "segued was started again";
        return self->go_on_alone();
    }
    log_info("daemon", "domain '{}': its agent is adopted", domain->name);
    self->tell_viewers(spice::control::StandbySource::runs);
    // Nobody has heard what its guest did meanwhile.
    if (!self->paused_) self->wake_guest(true);
    self->look();
}

bool PrimaryProtection::may_run_elsewhere(const storage::ProtectionRecord& record) {
    const auto settings = Json::parse(record.settings);
    if (!settings || settings->find("runs_on") != nullptr) return true;
    if (settings->flag("may_have_taken_over")) return true;
    if (record.state == name_of(State::unprotected)) return false;
    const auto wish = ProtectionWish::parse(*settings);
    // A first state may have been committed there, and nobody here has heard of it.
    const bool decides_itself = !wish || wish->promote_on_loss || wish->has_witness();
    return record.state != name_of(State::setting_up) || decides_itself;
}

void PrimaryProtection::look() {
    if (state_ != State::guarding || looking_) return;
    if (!agent_ || !agent_->running()) return agent_is_of_no_use("segue-agent has ended");
    probe_qemu();
    looking_ = true;
    const Self self = shared_from_this();
    ask_helper(
        services_, agent_file("control.sock"), Json::object({{"cmd", "status"}}),
        [self, turn = pause_turn_](Result<Json> said) {
            self->looking_ = false;
            if (self->state_ != State::guarding) return;
            if (said) {
                // One that was said beside a pause, or its end, may be of before.
                if (turn == self->pause_turn_ && !self->pauses_) self->follow_pause(*said);
                self->looked(*said);
            } else if (!self->agent_->running()) {
                return self->agent_is_of_no_use("segue-agent has ended");
            } else if (said.error().code == ErrorCode::timeout) {
                return self->agent_is_of_no_use("segue-agent hangs");
            }
            if (self->state_ == State::guarding) self->after(kLook, [self] { self->look(); });
        },
        kAgentBound);
}

void PrimaryProtection::looked(const Json& said) {
    figures_ = said;
    const auto domain = domain_.lock();
    if (!domain) return;
    const MetricLabels labels = {{"domain", domain->name}};
    Metrics& metrics = services_.metrics;
    metrics.gauge("segue_protection_epoch", "The last epoch that the standby has committed",
                  labels) = static_cast<double>(said.u64("epoch"));
    metrics.gauge("segue_protection_pause_seconds", "Median pause of a checkpoint", labels) =
        static_cast<double>(said["pause_us"].i64("p50")) / 1e6;
    metrics.gauge("segue_protection_lag_seconds", "From a whole checkpoint to its commit", labels) =
        static_cast<double>(said.i64("lag_us")) / 1e6;
    metrics.gauge("segue_protection_bytes", "Sent for checkpoints", labels) =
        static_cast<double>(said.u64("bytes"));
    const std::string_view state = said.text("state");
    if (state == "protected") steer(said);
    if (state == "asking" && !std::exchange(may_have_taken_over_, true)) save();
    // It will not run here again; its process ends when its disk answers.
    const bool is_fenced = said.flag("fenced");
    if (state != "lost" && state != "isolated" && !is_fenced) return;
    reason_ = said.text("reason");
    decided_at_ = services_.loop.now();
    state == "lost" ? go_on_alone() : stand_still();
    if (state == "isolated" && wish_.has_witness()) give_disks_back();
}

// The interval follows the guest where nobody named one.
void PrimaryProtection::steer(const Json& said) {
    const auto domain = domain_.lock();
    if (!wish_.adapts || !domain || paused_) return;
    // In hybrid mode a request may stand as soon as it can: it is answered when a frame waits.
    const bool somebody_waits =
        wish_.hybrid || said.u64("held_frames") > 0 || said.u64("held_screen") > 0;
    if (!pilot_.look(said.i64("recent_pause_us"), somebody_waits)) return;
    const auto guest = domain->running_guest();
    if (!guest) return;
    (*guest)->execute("migrate-set-parameters",
                      Json::object({{"x-checkpoint-delay", pilot_.interval_ms()}}),
                      [](Result<Json>) {});
}

}  // namespace segue
