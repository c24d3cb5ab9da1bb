// SPDX-License-Identifier: LGPL-2.1-or-later
// The session of a protected machine: its server has said where the standby is, and is heard every
// half second. While the source is silent or lost, the standby is asked, too. It lets nobody in
// before it was promoted: whoever gets in there is where the machine is.
#include "spice/client/session.h"

namespace segue::spice::client {

namespace {

constexpr Duration kLook = 100ms;
// A server says something at least every 500 ms. No harm is done where it was only slow: nothing
// ends before the standby has let us in.
constexpr Duration kSilence = 1500ms;

}  // namespace

void Session::on_standby_host(const wire::standby::StandbyHost& standby) {
    standby_is_of_before_ = false;
    forget_standby();
    if (!standby.destination.host.empty()) {
        standby_ = announced_by(standby.destination, settings_);
        source_stands_still_ = standby.source == wire::standby::SourceState::stands_still;
        heard_at_ = environment_.loop.now();
        source_look_->start(kLook);
    }
    listener_.on_standby(standby_ ? standby_->endpoint : Endpoint());
}

void Session::forget_standby() {
    standby_.reset();
    source_stands_still_ = false;
    standby_tls_.reset();
    source_look_->cancel();
    leave_standby();
}

void Session::leave_standby() {
    if (standby_wire_) standby_wire_->close();
    standby_wire_.reset();
}

void Session::look_at_source() {
    if (!standby_) return;
    source_look_->start(kLook);
    const bool is_lost = state_ == FollowerState::reconnecting;
    const bool is_silent = state_ == FollowerState::settled && is_source_silent();
    if (!is_lost && !is_silent) return leave_standby();
    if (!standby_wire_ || standby_wire_->is_closed()) ask_standby();
}

bool Session::is_source_silent() {
    const Instant now = environment_.loop.now();
    if (const std::uint64_t bytes = bytes_received(); bytes != heard_bytes_) {
        heard_bytes_ = bytes;
        heard_at_ = now;
    }
    return source_stands_still_ || now - heard_at_ >= kSilence;
}

void Session::ask_standby() {
    log_debug("spice", "the source is silent or lost: asks the standby at {}",
              standby_->endpoint.text());
    ChannelWire::Handlers handlers;
    handlers.on_linked = [this] {
        // Not from inside a callback of a connection that this closes.
        environment_.loop.post([this, alive = std::weak_ptr(alive_)] {
            if (!alive.expired()) go_to_standby();
        });
    };
    handlers.on_message = [](const wire::IncomingMessage&) { return Result<>{}; };
    // Not there yet: it is asked again at the next look.
    handlers.on_closed = [](const Error&, Ending) {};
    standby_wire_ = ChannelWire::make(
        environment_, plan_of(kMain, standby_->endpoint, standby_->trust, standby_tls_),
        std::move(handlers));
    standby_wire_->connect();
    standby_wire_->link(0);
}

// A fresh session, with the last picture kept; the source stays the second choice.
void Session::go_to_standby() {
    if (!standby_ || !standby_wire_ || !standby_wire_->is_linked()) return;
    const Candidate there = *standby_;
    forget_standby();
    last_error_ = Error{ErrorCode::connection_lost,
                        fmt::format("the standby at {} has taken over", there.endpoint.text())};
    if (state_ == FollowerState::settled) happen({FollowerEvent::source_lost});
    if (state_ != FollowerState::reconnecting) return;
    candidates_ = {there, {settings_.endpoint, settings_.trust}};
    next_candidate_ = 0;
    first_alone_until_.reset();
    attempts_ = 0;
    retry_->start(Duration{});
}

}  // namespace segue::spice::client
