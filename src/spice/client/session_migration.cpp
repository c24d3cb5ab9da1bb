// SPDX-License-Identifier: LGPL-2.1-or-later
// The follower's events and actions: where its table meets connections and channels.
#include "spice/client/session.h"

namespace segue::spice::client {

using wire::ChannelType;
namespace main = wire::main;

namespace {

// Stock servers wait 10 s for the client's answer to MIGRATE_BEGIN.
constexpr Duration kPatience = 9s;
constexpr Duration kFirstBackOff = 100ms;
constexpr Duration kLastBackOff = 2s;
// A server that sent its viewers away goes on listening, and shows a machine that stands still.
constexpr Duration kTargetAlone = 20s;
// A source that does not answer is waited for so long, before the announced target is tried: that
// one lets viewers in whether it has the machine or not.
constexpr Duration kSourceAlone = 10s;
// A viewer that is back at the source may hear nothing any more of where the machine goes. Later
// than this the target's port may be another machine's, and not all machines say which they are.
// The longer one where another machine in its place would be known by its UUID.
constexpr Duration kAnnouncedFor = 120s, kAnnouncedForKnown = 600s;
constexpr Duration kStable = 5s;
// A server that ended the session in order and is not there any more, while nothing else is known
// of the machine: it was switched off. It may be started anew, but not for so long.
constexpr int kFarewellPart = 6;
// A waiting connection of a device that broke is made once more after this time.
constexpr Duration kOnceMore = 200ms;

}  // namespace

void Session::happen(const Happening& happening) {
    happenings_.push_back(happening);
    if (std::exchange(in_happening_, true)) return;
    while (!happenings_.empty()) {
        const Happening next = happenings_.front();
        happenings_.pop_front();
        const FollowerStep step = follow(state_, next.event);
        if (step.misstep != Misstep::none) {
            log_debug("spice", "{} in {}: {}", name_of(next.event), name_of(state_),
                      name_of(step.misstep));
            continue;
        }
        if (state_ != step.next) {
            log_debug("spice", "{}: {} -> {}", name_of(next.event), name_of(state_),
                      name_of(step.next));
        }
        state_ = step.next;
        for (const FollowerAction action : step.actions)
            perform(action, next);
    }
    in_happening_ = false;
}

void Session::perform(FollowerAction action, const Happening& happening) {
    switch (action) {
        case FollowerAction::open_target: return open_target();
        case FollowerAction::close_target: return close_target();
        case FollowerAction::start_patience: return patience_->start(kPatience);
        case FollowerAction::stop_patience: return patience_->cancel();
        case FollowerAction::start_retry: return start_retry();
        case FollowerAction::stop_retry: return retry_->cancel();
        case FollowerAction::say_connected:
            this->main().say(wire::main::MigrateConnected{});
            return;
        case FollowerAction::say_seamless:
            this->main().say(wire::main::MigrateConnectedSeamless{});
            return;
        case FollowerAction::say_error: this->main().say(wire::main::MigrateConnectError{}); return;
        case FollowerAction::move_channel: return move_channel(happening.key, happening.flags);
        case FollowerAction::stay: return stay_at_source();
        case FollowerAction::take_over: return take_over();
        case FollowerAction::adopt_target: return adopt_target();
        case FollowerAction::open_fresh: return open_next_candidate();
        default: return perform_report(action);
    }
}

void Session::perform_report(FollowerAction action) {
    const Endpoint target = target_ ? target_->endpoint : settings_.endpoint;
    switch (action) {
        case FollowerAction::report_connected: note_arrival(false); return listener_.on_connected();
        case FollowerAction::report_begin:
            attempts_ = 0;
            return listener_.on_migrate_begin(target,
                                              target_ && target_->seamless_version.has_value());
        case FollowerAction::report_target_ready: return listener_.on_target_connected(target);
        case FollowerAction::report_switch:
            awaits_target_picture_ = true;
            manner_ = state_ == FollowerState::moving      ? MoveManner::seamless
                      : state_ == FollowerState::switching ? MoveManner::semi_seamless
                                                           : MoveManner::switch_host;
            return listener_.on_switch(target, manner_);
        case FollowerAction::report_done:
            note_arrival(true);
            link_left_behind();
            return listener_.on_migrate_done(settings_.endpoint, manner_);
        case FollowerAction::report_cancelled:
            forget_target();
            return listener_.on_migrate_cancelled();
        case FollowerAction::report_lost:
            silence();
            look_for_source();
            return listener_.on_lost(
                last_error_.value_or(Error{ErrorCode::connection_lost, "the connection is lost"}));
        case FollowerAction::report_over:
            forget_standby();
            silence();
            for (const auto& [key, wire] : wires_)
                wire->close();
            return listener_.on_over(was_ended_ ? std::nullopt : last_error_);
        default: return;
    }
}

// --- What servers say ----------------------------------------------------------------------------

void Session::announce(const main::Destination& to, std::optional<std::uint32_t> version) {
    // Connections to an earlier target go before they are forgotten.
    close_target();
    target_ = std::make_unique<Target>();
    const Candidate announced = announced_by(to, settings_);
    target_->endpoint = announced.endpoint;
    target_->trust = announced.trust;
    target_->seamless_version = version;
    candidates_ = {announced, {settings_.endpoint, settings_.trust}};
    next_candidate_ = 0;
    first_alone_until_.reset();
    announced_ = announced;
    announced_until_.reset();
}

void Session::on_migrate_begin(const main::Destination& to, std::optional<std::uint32_t> version) {
    // While channels move here, or are still being linked, there is nothing whole to move on.
    const bool is_arriving = state_ == FollowerState::moving || state_ == FollowerState::starting ||
                             state_ == FollowerState::relinking ||
                             state_ == FollowerState::reconnecting;
    if (is_arriving) {
        deferred_.emplace(to, version);
        return;
    }
    announce(to, version);
    happen({version ? FollowerEvent::begin_seamless : FollowerEvent::begin});
}

void Session::on_migrate_cancel() {
    deferred_.reset();
    // Where the main channel has moved already, its new server speaks of its own announcement.
    if (state_ == FollowerState::moving && !to_move_.contains(kMain)) return;
    announced_.reset();
    happen({FollowerEvent::cancel});
}

void Session::on_migrate_end() {
    first_alone_until_ = environment_.loop.now() + kTargetAlone;
    happen({FollowerEvent::migrate_end});
}

void Session::on_switch_host(const main::Destination& to) {
    deferred_.reset();
    const Endpoint endpoint = announced_by(to, settings_).endpoint;
    if (target_can_start_anew(endpoint)) return happen({FollowerEvent::switch_host_here});
    if (!target_ || target_->endpoint != endpoint) announce(to, std::nullopt);
    first_alone_until_ = environment_.loop.now() + kTargetAlone;
    happen({FollowerEvent::switch_host});
}

// A main connection that waits there and was not promised our channels' state.
bool Session::target_can_start_anew(const Endpoint& endpoint) const {
    if (!target_ || target_->endpoint != endpoint) return false;
    if (target_->answer != Target::Answer::not_asked && target_->answer != Target::Answer::refused)
        return false;
    const auto wire = target_->wires.find(kMain);
    return wire != target_->wires.end() && wire->second->is_linked();
}

void Session::on_migrate(ChannelKey key, wire::common::MigrateFlags flags) {
    happen({FollowerEvent::channel_migrate, key, flags});
}

// --- Connections to the target -------------------------------------------------------------------

void Session::open_target() {
    close_target();
    target_->answer = Target::Answer::not_asked;
    for (const auto& [key, channel] : channels_)
        connect_to_target(key);
}

void Session::connect_to_target(ChannelKey key) {
    if (!channels_.contains(key)) return;
    ChannelWire::Handlers handlers;
    handlers.on_linked = [this, key] { on_target_linked(key); };
    handlers.on_message = [this](const wire::IncomingMessage& message) {
        return on_target_message(message);
    };
    handlers.on_closed = [this, key](const Error& error, Ending ending) {
        listener_.on_problem(error);
        if (key != kMain && state_ == FollowerState::switching)
            return on_wire_closed(key, error, ending);
        if (leave_behind(key)) return;
        happen({FollowerEvent::target_failed});
    };
    auto wire = ChannelWire::make(environment_,
                                  plan_of(key, target_->endpoint, target_->trust, target_->tls),
                                  std::move(handlers));
    target_->wires[key] = wire;
    if (key != kMain) wire->hold();
    wire->connect();
    // Stock servers know the session only when its main channel is linked.
    const auto main_wire = target_->wires.find(kMain);
    const bool main_linked = main_wire != target_->wires.end() && main_wire->second->is_linked();
    if (key == kMain || main_linked) wire->link(session_id_);
}

bool Session::waits_at_target() const {
    return target_ &&
           (state_ == FollowerState::linked_semi || state_ == FollowerState::linked_seamless ||
            state_ == FollowerState::linked_late);
}

// Where all was linked already a device was unplugged there, or its line broke: the others follow
// without it. The first time nobody knows which, and it is linked once more.
bool Session::leave_behind(ChannelKey key) {
    const bool is_linked = waits_at_target() || (target_ && state_ == FollowerState::moving);
    if (!is_linked || !is_of_device(key.type)) return false;
    target_->wires.erase(key);
    if (target_->linked_twice.contains(key)) {
        target_->unplugged.insert(key);
    } else {
        target_->broken.insert(key);
        once_more_->start(kOnceMore);
    }
    return true;
}

// Once channels move, one without a connection there has lost its state: link_left_behind().
void Session::link_once_more() {
    if (!waits_at_target()) return;
    for (const ChannelKey key : std::exchange(target_->broken, {})) {
        target_->linked_twice.insert(key);
        connect_to_target(key);
    }
}

void Session::close_target() {
    if (!target_) return;
    for (const auto& [key, wire] : target_->wires)
        wire->close();
    target_->wires.clear();
}

// Cancelled: nothing is ever connected there any more.
void Session::forget_target() {
    target_.reset();
    candidates_.clear();
    announced_.reset();
}

void Session::on_target_linked(ChannelKey key) {
    if (key == kMain) {
        for (const auto& [other, wire] : target_->wires) {
            if (other != kMain) wire->link(session_id_);
        }
        if (target_->seamless_version && state_ == FollowerState::linking_seamless) ask_target();
    }
    check_target_ready();
}

void Session::ask_target() {
    const auto& wire = target_->wires.at(kMain);
    if (!wire->server_capabilities().has(main::Capability::seamless_migrate)) {
        target_->answer = Target::Answer::refused;
        return happen({FollowerEvent::seamless_refused});
    }
    target_->answer = Target::Answer::asked;
    wire->send(wire::encode_from_client(main::MigrateDstDoSeamless{*target_->seamless_version}));
}

// On the waiting main connection only the answer is legal, and pings.
Result<> Session::on_target_message(const wire::IncomingMessage& message) {
    const auto& wire = target_->wires.at(kMain);
    if (message.number == wire::common::Ping::kFromServer) {
        const auto ping = TRY(wire::parse<wire::common::Ping>(message.body));
        wire->send(wire::encode_from_client(wire::common::Pong{ping.id, ping.timestamp}));
        return {};
    }
    const bool accepted = message.number == main::MigrateDstSeamlessAck::kFromServer;
    const bool refused = message.number == main::MigrateDstSeamlessNack::kFromServer;
    if (target_->answer != Target::Answer::asked || (!accepted && !refused)) {
        return fail(ErrorCode::protocol, "the target said message {} before it was taken",
                    message.number);
    }
    target_->answer = accepted ? Target::Answer::accepted : Target::Answer::refused;
    // From here on everything belongs to the channel that will take this connection.
    wire->hold();
    if (refused) happen({FollowerEvent::seamless_refused});
    check_target_ready();
    return {};
}

void Session::check_target_ready() {
    if (!target_ || target_->wires.empty()) return;
    const bool all_linked =
        std::all_of(target_->wires.begin(), target_->wires.end(),
                    [](const auto& entry) { return entry.second->is_linked(); });
    const bool answered =
        state_ != FollowerState::linking_seamless || target_->answer == Target::Answer::accepted;
    if (all_linked && answered) happen({FollowerEvent::target_ready});
}

// The announcement that came too early.
void Session::go_on_to_deferred() {
    if (!deferred_) return;
    environment_.loop.post([this, alive = std::weak_ptr(alive_)] {
        if (alive.expired() || !deferred_) return;
        const auto [to, version] = *std::exchange(deferred_, {});
        on_migrate_begin(to, version);
    });
}

// --- Semi-seamless: all at once ------------------------------------------------------------------

void Session::take_over() {
    reset_channels(ResetReason::switching, true);
    for (const auto& [key, wire] : wires_)
        wire->close();
    wires_.clear();
    has_init_ = is_up_ = false;
    for (const auto& [key, wire] : target_->wires) {
        if (!channels_.contains(key)) continue;
        wires_[key] = wire;
        wire->set_handlers(handlers_of(key));
    }
    adopt_target();
    const auto& main_wire = wires_.at(kMain);
    main_wire->send(wire::encode_from_client(main::MigrateEnd{}));
    attach(kMain, true);
    main_wire->release();
}

void Session::close_left_behind() {
    for (const auto& [key, wire] : left_behind_)
        wire->close();
    left_behind_.clear();
}

void Session::adopt_target() {
    close_left_behind();
    for (const auto& [key, channel] : channels_)
        channel->settle();
    if (!target_) return;
    settings_.endpoint = target_->endpoint;
    settings_.trust = target_->trust;
    if (target_->tls) tls_ = target_->tls;
    for (auto& [key, wire] : target_->wires) {
        const auto ours = wires_.find(key);
        if (ours == wires_.end() || ours->second != wire) wire->close();
    }
    // Its wires are the session's now.
    target_.reset();
}

// --- Fresh sessions ------------------------------------------------------------------------------

// `was_sent`: by who had the machine before.
void Session::note_arrival(bool was_sent) {
    left_.reset();
    const bool is_announced = announced_ && announced_->endpoint == settings_.endpoint;
    if (is_announced) announced_.reset();
    if (is_announced && !was_sent) left_ = lost_at_;
    lost_at_.reset();
    if (state_ == FollowerState::settled)
        announced_until_ =
            environment_.loop.now() + (machine_ ? kAnnouncedForKnown : kAnnouncedFor);
}

// Where it was; and where it was to go, when there is nobody any more who could tell.
void Session::look_for_source() {
    const Instant now = environment_.loop.now();
    candidates_ = {{settings_.endpoint, settings_.trust}};
    if (!lost_at_) lost_at_ = candidates_.front();
    next_candidate_ = 0;
    first_alone_until_.reset();
    // A target that ends without the machine: that has never left.
    const bool is_back = left_ && announced_until_ && now < *announced_until_;
    if (is_back) candidates_.push_back(*left_);
    const bool is_recent = announced_ && (!announced_until_ || now < *announced_until_);
    if (is_recent && announced_until_ && was_ended_) {
        // Stock servers forget an announcement with the viewer that heard it. When the machine has
        // gone they end the session of one that came back, and that is all that it hears.
        candidates_.insert(candidates_.begin(), *announced_);
    } else if (is_recent) {
        candidates_.push_back(*announced_);
        next_candidate_ = 1;
        first_alone_until_ = now + kSourceAlone;
    }
    if (standby_) source_look_->start(Duration{});
}

void Session::open_next_candidate() {
    if (candidates_.empty()) candidates_ = {{settings_.endpoint, settings_.trust}};
    const bool first_alone = first_alone_until_ && environment_.loop.now() < *first_alone_until_;
    const std::size_t number = first_alone ? 0 : next_candidate_++ % candidates_.size();
    const Candidate candidate = candidates_[number];
    target_.reset();
    deferred_.reset();
    to_move_.clear();
    to_link_anew_.clear();
    // Not from inside a callback of a connection that this closes.
    open_fresh(candidate);
}

void Session::start_retry() {
    const bool linking =
        state_ >= FollowerState::linking_semi && state_ <= FollowerState::linked_late;
    if (!linking) {
        // A session that broke soon after it was up is still the same trouble.
        const Instant now = environment_.loop.now();
        const bool was_stable = up_since_ && now - *up_since_ >= kStable;
        if (!lost_since_ || was_stable) {
            lost_since_ = now;
            attempts_ = 0;
        }
        up_since_.reset();
        // Where else it could be is worth the whole time.
        const bool is_off = was_ended_ && !standby_ && candidates_.size() < 2;
        const Duration bound = settings_.reconnect_for / (is_off ? kFarewellPart : 1);
        if (now - *lost_since_ >= bound) return happen({FollowerEvent::give_up});
        if (last_error_) listener_.on_problem(*last_error_);
    }
    Duration wait = kFirstBackOff * (1 << std::min(attempts_++, 5));
    retry_->start(std::min(wait, kLastBackOff));
}

}  // namespace segue::spice::client
