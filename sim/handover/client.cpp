// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sim/handover/client.h"

#include <fmt/format.h>

#include <algorithm>

namespace segue::sim::handover {

using spice::client::follow;
using spice::client::FollowerState;
using spice::client::Misstep;

namespace {

// As session_migration.cpp has them.
constexpr Duration kPatience = 9s;
constexpr Duration kBackOff = 100ms;
constexpr Duration kGiveUp = 60s;

}  // namespace

Client::Client(Timeline& time, Dial dial, int home)
    : time_(time),
      dial_(std::move(dial)),
      patience_(time, [this] { happen(Event::patience_over); }),
      retry_(time, [this] { happen(Event::retry_due); }),
      give_up_(time, [this] { happen(Event::give_up); }),
      home_(home) {}

void Client::start() {
    open_fresh();
}

void Client::die() {
    alive_ = false;
    patience_.stop();
    retry_.stop();
    give_up_.stop();
    for (Wires* wires : {&wires_, &target_wires_}) {
        for (auto& [channel, wire] : *wires)
            wire.line->close(false);
    }
    ++generation_;
    ++target_generation_;
}

void Client::happen(Event event, int channel, std::uint32_t flags) {
    queue_.push_back([this, event, channel, flags] {
        const auto step = follow(state_, event);
        if (step.misstep != Misstep::none) return;
        const bool was_looking = is_looking();
        state_ = step.next;
        if (!is_looking()) {
            give_up_.stop();
        } else if (!was_looking) {
            give_up_.start(kGiveUp);
        }
        for (const Action action : step.actions)
            perform(action, channel, flags);
    });
    if (std::exchange(busy_, true)) return;
    while (!queue_.empty()) {
        const auto next = std::move(queue_.front());
        queue_.erase(queue_.begin());
        next();
    }
    busy_ = false;
}

void Client::perform(Action action, int channel, std::uint32_t flags) {
    switch (action) {
        case Action::open_target: return open_target();
        case Action::close_target: return close_target();
        case Action::start_patience: return patience_.start(kPatience);
        case Action::stop_patience: return patience_.stop();
        case Action::start_retry: return retry_.start(kBackOff);
        case Action::stop_retry: return retry_.stop();
        case Action::say_connected: return send(kMain, Say::connected);
        case Action::say_seamless: return send(kMain, Say::connected_seamless);
        case Action::say_error: return send(kMain, Say::connect_error);
        case Action::move_channel: return begin_move(channel, flags);
        case Action::take_over: return take_over();
        // Its connections to the source are closed already, as stock's viewers close them.
        case Action::stay: return lost();
        case Action::adopt_target: home_ = target_; return;
        case Action::open_fresh: return open_fresh();
        case Action::report_lost: attempt_ = 0; return;
        case Action::report_done:
            if (announced_ == home_) announced_ = -1;
            return;
        case Action::report_cancelled:
            ++cancelled;
            announced_ = -1;
            return;
        default: return;
    }
}

void Client::send(int channel, Say say, std::uint32_t number) {
    const auto wire = wires_.find(channel);
    if (wire != wires_.end()) wire->second.line->send(true, {say, number});
}

// --- At home ------------------------------------------------------------------------------------

// Behind the switchover to the target first, before it to where the machine was; then back and
// forth: nobody says where the machine is.
void Client::open_fresh() {
    if (!alive_) return;
    for (auto& [channel, wire] : std::exchange(wires_, {}))
        wire.line->close(false);
    to_move_.clear();
    moving_.clear();
    deferred_ = {};
    ++generation_;
    has_init_ = false;
    session_ = 0;
    if (state_ != FollowerState::starting) ++relinked;
    if (was_up_) ++sessions_lost;
    const bool is_even = attempt_++ % 2 == 0;
    int server = home_;
    if (state_ == FollowerState::relinking && target_ >= 0 && is_even) server = target_;
    if (state_ == FollowerState::reconnecting && announced_ >= 0 && !is_even) server = announced_;
    wires_[kMain].line = dial_(kMain, server);
    attach(kMain);
    send(kMain, Say::link, 0);
}

void Client::attach(int channel) {
    Wire& wire = wires_.at(channel);
    wire.released = true;
    const int generation = generation_;
    wire.line->at_client.hear = [this, channel, generation](const Message& message) {
        if (alive_ && generation == generation_) hear(channel, message);
    };
    wire.line->at_client.lost = [this, generation] {
        if (alive_ && generation == generation_) lost();
    };
    const std::vector<Message> held = std::exchange(wire.held, {});
    const LinePointer line = wire.line;
    for (const Message& message : held) {
        if (const auto hear = line->at_client.hear) hear(message);
    }
}

void Client::lost() {
    const bool fresh = !has_init_ || !is_settled();
    const bool making = state_ == FollowerState::starting || state_ == FollowerState::relinking ||
                        state_ == FollowerState::reconnecting || state_ == FollowerState::switching;
    if (making && fresh) {
        for (auto& [number, wire] : wires_)
            wire.line->close(false);
        ++generation_;
        return happen(Event::session_failed);
    }
    // Without one of its channels a session is of no use here: it is made anew.
    wires_.at(kMain).line->close(false);
    ++generation_;
    happen(Event::source_lost);
}

void Client::hear(int channel, const Message& message) {
    switch (message.say) {
        case Say::linked:
            wires_.at(channel).linked = true;
            if (channel == kMain) session_ = message.number;
            return check_up();
        case Say::refused: return lost();
        case Say::init:
            has_init_ = true;
            if (wires_.size() == 1) {
                for (int other = kDisplay; other < kChannels; ++other) {
                    wires_[other].line = dial_(other, wires_.at(kMain).line->server);
                    attach(other);
                    send(other, Say::link, session_);
                }
            }
            for (auto& [other, wire] : wires_) {
                if (!wire.released) attach(other);
            }
            return check_up();
        case Say::begin:
        case Say::begin_seamless: {
            const bool seamless = message.say == Say::begin_seamless;
            const int server = static_cast<int>(message.number);
            heard_of_.insert(server);
            const bool is_arriving =
                state_ == FollowerState::moving || state_ == FollowerState::starting ||
                state_ == FollowerState::relinking || state_ == FollowerState::reconnecting;
            if (is_arriving) {
                deferred_ = [this, server, seamless] { announce(server, seamless); };
                return;
            }
            return announce(server, seamless);
        }
        case Say::ping: return send(kMain, Say::pong, message.number);
        case Say::cancel:
            deferred_ = {};
            if (state_ == FollowerState::moving && to_move_.count(kMain) == 0) return;
            announced_ = -1;
            return happen(Event::cancel);
        case Say::end: return happen(Event::migrate_end);
        case Say::switch_host: {
            const int server = static_cast<int>(message.number);
            heard_of_.insert(server);
            deferred_ = {};
            const auto main = target_wires_.find(kMain);
            const bool here = target_ == server && main != target_wires_.end() &&
                              main->second.linked && asked_ != Asked::asked &&
                              asked_ != Asked::accepted;
            if (here) return happen(Event::switch_host_here);
            if (target_ != server) {
                close_target();
                target_ = announced_ = server;
            }
            attempt_ = 0;
            return happen(Event::switch_host);
        }
        case Say::migrate: return happen(Event::channel_migrate, channel, message.number);
        case Say::data:
            if (moving_.erase(channel) != 0) move(channel, true);
            return;
        default: return;
    }
}

void Client::check_up() {
    const bool all = wires_.size() == kChannels &&
                     std::all_of(wires_.begin(), wires_.end(),
                                 [](const auto& entry) { return entry.second.linked; });
    if (!has_init_ || !all) return;
    if (state_ == FollowerState::relinking) target_ = wires_.at(kMain).line->server;
    home_ = wires_.at(kMain).line->server;
    if (announced_ == home_) announced_ = -1;
    was_up_ = true;
    happen(Event::session_up);
    go_on_to_deferred();
}

// --- The target ---------------------------------------------------------------------------------

void Client::announce(int server, bool seamless) {
    close_target();
    target_ = announced_ = server;
    seamless_ = seamless;
    attempt_ = 0;
    happen(seamless ? Event::begin_seamless : Event::begin);
}

void Client::open_target() {
    close_target();
    asked_ = Asked::not_asked;
    const int generation = target_generation_;
    for (const auto& [channel, wire] : wires_) {
        Wire& made = target_wires_[channel];
        made.line = dial_(channel, target_);
        made.line->at_client.hear = [this, channel = channel, generation](const Message& message) {
            if (alive_ && generation == target_generation_) hear_at_target(channel, message);
        };
        made.line->at_client.lost = [this, generation] {
            if (alive_ && generation == target_generation_) happen(Event::target_failed);
        };
    }
    link_at_target(kMain);
}

void Client::close_target() {
    ++target_generation_;
    for (auto& [channel, wire] : std::exchange(target_wires_, {}))
        wire.line->close(false);
}

void Client::link_at_target(int channel) {
    target_wires_.at(channel).line->send(true, {Say::link, session_});
}

void Client::hear_at_target(int channel, const Message& message) {
    Wire& wire = target_wires_.at(channel);
    if (message.say == Say::linked) {
        wire.linked = true;
        if (channel == kMain) {
            for (int other = kDisplay; other < kChannels; ++other) {
                if (target_wires_.count(other) != 0) link_at_target(other);
            }
            if (seamless_ && state_ == FollowerState::linking_seamless) {
                asked_ = Asked::asked;
                wire.line->send(true, {Say::do_seamless, 1});
            }
        }
        return check_target_ready();
    }
    if (message.say == Say::refused) return happen(Event::target_failed);
    if (message.say == Say::ack || message.say == Say::nack) {
        asked_ = message.say == Say::ack ? Asked::accepted : Asked::refused;
        if (message.say == Say::nack) happen(Event::seamless_refused);
        return check_target_ready();
    }
    wire.held.push_back(message);  // read when the channel has gone over
}

void Client::check_target_ready() {
    const bool linked = !target_wires_.empty() &&
                        std::all_of(target_wires_.begin(), target_wires_.end(),
                                    [](const auto& entry) { return entry.second.linked; });
    const bool answered = state_ != FollowerState::linking_seamless || asked_ == Asked::accepted;
    if (linked && answered) happen(Event::target_ready);
}

void Client::begin_move(int channel, std::uint32_t flags) {
    if (to_move_.empty()) {
        for (const auto& [each, wire] : wires_)
            to_move_.insert(each);
        ++moved;
    }
    if ((flags & 1) != 0) send(channel, Say::flush);
    if ((flags & 2) != 0) {
        moving_[channel] = flags;
        return;
    }
    move(channel, false);
}

void Client::move(int channel, bool with_state) {
    const auto there = target_wires_.find(channel);
    if (there == target_wires_.end() || !there->second.line->is_open())
        return happen(Event::target_failed);
    wires_.at(channel).line->at_client = {};
    wires_.at(channel).line->close(false);
    wires_[channel] = std::move(there->second);
    target_wires_.erase(there);
    if (with_state) send(channel, Say::data);
    attach(channel);
    to_move_.erase(channel);
    check_all_moved();
}

void Client::check_all_moved() {
    if (!to_move_.empty() || state_ != FollowerState::moving) return;
    happen(Event::all_moved);
    go_on_to_deferred();
}

void Client::go_on_to_deferred() {
    if (deferred_)
        time_.after(Duration{}, [this, next = std::exchange(deferred_, {})] {
            if (alive_) next();
        });
}

void Client::take_over() {
    ++switched;
    ++generation_;
    for (auto& [channel, wire] : std::exchange(wires_, {}))
        wire.line->close(false);
    has_init_ = false;
    ++target_generation_;
    for (auto& [channel, wire] : target_wires_)
        wires_[channel] = std::move(wire);
    target_wires_.clear();
    home_ = target_;
    send(kMain, Say::migrate_end);
    for (auto& [channel, wire] : wires_) {
        // Those that are still linking are read for that; the others when INIT has come.
        if (channel == kMain || !wire.linked) {
            attach(channel);
        } else {
            hold(wire);
        }
    }
}

// Only its end is heard of.
void Client::hold(Wire& wire) {
    const int generation = generation_;
    wire.line->at_client.hear = [this, &wire, generation](const Message& message) {
        if (alive_ && generation == generation_) wire.held.push_back(message);
    };
    wire.line->at_client.lost = [this, generation] {
        if (alive_ && generation == generation_) lost();
    };
}

// --- The end of a run ---------------------------------------------------------------------------

int Client::at() const {
    if (wires_.size() != kChannels) return -1;
    const int server = wires_.at(kMain).line->server;
    for (const auto& [channel, wire] : wires_) {
        if (wire.line->server != server || !wire.line->is_open()) return -1;
    }
    return server;
}

std::string Client::describe() const {
    std::string text =
        fmt::format("client {} at {} home {} target {}:", name_of(state_), at(), home_, target_);
    for (const auto& [channel, wire] : wires_) {
        text += fmt::format(" {}@{}{}", channel, wire.line->server,
                            wire.line->is_open() ? "" : " closed");
    }
    return text;
}

}  // namespace segue::sim::handover
