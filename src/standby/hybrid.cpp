// SPDX-License-Identifier: LGPL-2.1-or-later
#include "standby/hybrid.h"

#include <algorithm>

#include "base/log.h"

namespace segue::standby {
namespace {

constexpr Duration kInputLook = 1ms;

}  // namespace

Hybrid::Hybrid(Loop& loop, const std::string& emulator, Networks& networks, Disks& disks,
               std::size_t most_differences, Handlers handlers)
    : loop_(loop),
      networks_(networks),
      disks_(disks),
      handlers_(std::move(handlers)),
      shadow_(loop, emulator, networks.size(),
              {handlers_.command, handlers_.files,
               [this](std::size_t card, ByteView frame) { networks_[card]->passed(frame); },
               [this](std::size_t card) { networks_[card]->differs(); },
               [this](const std::string& how) { shadow_lost(how); },
               [this](const std::string& how) { next_lost(how); }, handlers_.guest_ended,
               [this] {
                   if (protected_ && !comparing_) ask_agent();
               }}),
      limits_({.differences = most_differences}),
      judge_(limits_) {
    look_ = loop_.make_timer([this] { watch_frames(); });
    input_ = loop_.make_timer([this] { wait_for_input(); });
    load_bound_ = loop_.make_timer([this] {
        shadow_.end();
        log_warning("standby", "the shadow did not load in time");
        loaded(false);
    });
}

// The first state is held by now, and a next checkpoint can begin with a shadow.
void Hybrid::prepare() {
    if (!protected_ || !judge_.is_hybrid()) return;
    const auto prepared = shadow_.prepare();
    if (!prepared) fall_back(prepared.error().message);
}

void Hybrid::suspend() {
    if (handlers_.ask_agent) return handlers_.suspended();
    request_waits_ = true;
    answered_ = false;
    if (!comparing_ || wanted_) answer_request();
}

void Hybrid::answer_request() {
    if (handlers_.ask_agent) return ask_agent();
    if (!request_waits_ || std::exchange(answered_, true)) return;
    will_load_ = may_load();
    input_since_ = loop_.now();
    // Both guests begin with what comes from here on.
    if (will_load_) {
        for (const auto& network : networks_)
            network->freeze_input();
    }
    wait_for_input();
}

bool Hybrid::may_load() const {
    return judge_.is_hybrid() && shadow_.is_ready() && handlers_.may_run();
}

// Once for each wish: an answer too many ends a shadow that has just begun.
void Hybrid::ask_agent() {
    if (!handlers_.ask_agent) return;
    const bool one = judge_.is_hybrid() && shadow_.is_ready();
    if (asked_one_ == one) return;
    asked_one_ = one;
    handlers_.ask_agent(one);
}

void Hybrid::wait_for_input() {
    if (!request_waits_) return;
    const bool is_read = std::all_of(networks_.begin(), networks_.end(),
                                     [](const auto& network) { return network->is_input_read(); });
    const bool in_time = loop_.now() - input_since_ < kReadBound;
    if (will_load_ && !is_read && in_time) return input_->start(kInputLook);
    request_waits_ = false;
    handlers_.suspended();
}

void Hybrid::epoch_over() {
    stop_comparing();
    shadow_.end();
    for (const auto& disk : disks_)
        disk->end_shadow();
}

void Hybrid::stop_comparing() {
    comparing_ = false;
    look_->cancel();
    for (const auto& network : networks_)
        network->end_comparing();
}

void Hybrid::load() {
    loads_ = true;
    has_shadow_ = false;
    if (handlers_.ask_agent) {
        will_load_ = agent_waits_ && may_load() &&
                     std::all_of(networks_.begin(), networks_.end(),
                                 [](const auto& network) { return network->has_input(); });
        if (std::exchange(agent_waits_, false)) asked_one_.reset();
    }
    if (!std::exchange(will_load_, false) || !shadow_.is_ready()) return loaded(false);
    load_bound_->start(kLoadBound);
    shadow_.load(handlers_.make_stream, [this](const Result<>& outcome) {
        if (!outcome) log_warning("standby", "the shadow: {}", outcome.error().message);
        loaded(outcome.has_value());
    });
}

void Hybrid::loaded(bool has_shadow) {
    if (!std::exchange(loads_, false)) return;
    load_bound_->cancel();
    if (has_shadow) {
        for (const auto& disk : disks_) {
            const auto begun = disk->begin_shadow(*shadow_.seat());
            if (begun) continue;
            log_warning("standby", "the shadow's disk: {}", begun.error().message);
            has_shadow = false;
        }
    }
    if (!has_shadow) shadow_.end();
    has_shadow_ = has_shadow;
    handlers_.loaded();
}

// The primary is told at this very moment: the two begin together.
void Hybrid::resume() {
    protected_ = true;
    wanted_.reset();
    began_ = loop_.now();
    if (std::exchange(has_shadow_, false)) {
        comparing_ = true;
        shadows_ += 1;
        // Before it can say anything: what is not heard of it would be missing where it takes over.
        for (const auto& network : networks_)
            network->begin_comparing(*shadow_.seat());
        shadow_.run();
    }
    for (const auto& network : networks_)
        network->thaw_input();
    if (!comparing_) ask_agent();
    // Not in the way of what the guest waits for.
    loop_.post([this] { prepare(); });
}

void Hybrid::primary_lost() {
    protected_ = request_waits_ = will_load_ = agent_waits_ = false;
    asked_one_.reset();
    wanted_.reset();
    input_->cancel();
    // It has not begun: what is held is committed, and nobody outside knows more.
    if (loads_ || !comparing_) {
        loads_ = false;
        load_bound_->cancel();
        shadow_.end();
    }
}

void Hybrid::shadow_lost(const std::string& how) {
    if (loads_) return loaded(false);
    if (!comparing_) return;
    stop_comparing();
    for (const auto& disk : disks_)
        disk->end_shadow();
    // What has left is known to the primary alone, until the next epoch is committed.
    ask("the shadow was lost: " + how);
    prepare();
}

// Another one would do no better at once.
void Hybrid::next_lost(const std::string& how) {
    if (protected_ && judge_.is_hybrid()) fall_back("no shadow can be had: " + how);
}

void Hybrid::to_compare(std::size_t card, Bytes frames, bool is_primary) {
    if (!comparing_ || !shadow_.seat()) return;
    Comparer& comparer = shadow_.comparer();
    is_primary ? comparer.primary_sent(card, std::move(frames))
               : comparer.shadow_sent(card, std::move(frames));
}

void Hybrid::frames_wait() {
    if (comparing_ && !wanted_) watch_frames();
}

void Hybrid::watch_frames() {
    std::optional<Instant> next;
    for (const auto& network : networks_) {
        if (network->wants_checkpoint()) return ask("a frame that the shadow did not send");
        const auto look = network->when_to_look();
        if (look && (!next || *look < *next)) next = look;
    }
    if (next && comparing_) look_->start(*next - loop_.now());
}

void Hybrid::ask(const std::string& why) {
    if (wanted_ || !protected_) return;
    wanted_ = why;
    differences_ += 1;
    handlers_.tell(Json::object({{"event", "difference"}, {"reason", why}}));
    if (judge_.difference(loop_.now())) {
        fall_back(fmt::format("more than {} differences in {} s", limits_.differences,
                              to_ms(limits_.window) / 1000));
    }
    answer_request();
}

// Nothing that has left is forgotten: the shadow stays until the next epoch is committed.
void Hybrid::fall_back(const std::string& why) {
    if (judge_.is_hybrid()) judge_.fall_back(loop_.now());
    fell_back_ = why;
    shadow_.end_next();
    log_warning("standby", "hybrid mode is left for {} s: {}", to_ms(judge_.calm()) / 1000, why);
    handlers_.tell(Json::object({{"event", "mode"}, {"mode", "periodic"}, {"reason", why}}));
}

void Hybrid::look() {
    if (judge_.look(loop_.now())) {
        fell_back_.clear();
        handlers_.tell(Json::object({{"event", "mode"}, {"mode", "hybrid"}}));
        prepare();
    }
    const bool may_ask = request_waits_ || handlers_.ask_agent;
    if (comparing_ && may_ask && loop_.now() - began_ > kLongest) answer_request();
}

std::unique_ptr<StandbyVm> Hybrid::take_over() {
    comparing_ = protected_ = false;
    look_->cancel();
    for (const auto& network : networks_)
        network->serve_shadow();
    shadow_.end_next();
    return shadow_.take_over();
}

void Hybrid::end_all() {
    protected_ = request_waits_ = false;
    epoch_over();
    shadow_.end_all();
}

Json Hybrid::status() const {
    std::uint64_t early = 0;
    for (const auto& network : networks_)
        early += network->early_frames();
    Json json = Json::object({{"now", judge_.is_hybrid() ? "hybrid" : "periodic"},
                              {"comparing", is_comparing()},
                              {"shadow_pid", shadow_.process()},
                              {"shadows", shadows_},
                              {"early_frames", early},
                              {"differences", differences_}});
    if (!fell_back_.empty()) json.set("fell_back", fell_back_);
    return json;
}

}  // namespace segue::standby
