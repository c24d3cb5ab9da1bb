// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sim/client.h"

namespace segue::sim {

using migrate::DriverEvent;
using migrate::DriverVerb;

Client::Client(Cluster& cluster, int number, Order order)
    : cluster_(cluster),
      number_(number),
      order_(order),
      driver_({static_cast<migrate::Protocol>(order.protocol), false, true}) {}

std::shared_ptr<Connection> Client::connect(int host, bool source) {
    Host& to = *cluster_.hosts[static_cast<std::size_t>(host)];
    auto connection = to.daemon ? cluster_.network.connect(number_, host) : nullptr;
    if (!connection) return nullptr;
    const std::weak_ptr<const int> weak = lifeline_;
    connection->attach(0, {[this, weak](const Message& message) {
                               if (weak.lock()) heard(message);
                           },
                           [this, weak, source] {
                               if (weak.lock()) lost(source);
                           }});
    to.daemon->accept(connection, false);
    return connection;
}

void Client::start() {
    cluster_.world.trace("client {}: {} from host{} to host{}, v{}{}", number_,
                         domain_name(order_.domain), order_.from, order_.to, order_.protocol,
                         order_.peer_to_peer ? ", peer-to-peer" : "");
    source_ = connect(order_.from, true);
    if (!order_.peer_to_peer) destination_ = connect(order_.to, false);
    if (!source_ || (!destination_ && !order_.peer_to_peer)) {
        return finish(Error{ErrorCode::connection_lost, "cannot connect"});
    }
    if (order_.peer_to_peer) return call(Call::perform, false);
    drive(DriverEvent::start);
}

void Client::die() {
    if (done_ || dead_) return;
    dead_ = true;
    cluster_.world.trace("client {} dies", number_);
    lifeline_.reset();
    if (source_) source_->close(0);
    if (destination_) destination_->close(0);
}

void Client::finish(std::optional<Error> outcome) {
    done_ = true;
    outcome_ = std::move(outcome);
    cluster_.world.trace("client {} is done: {}", number_,
                         outcome_ ? outcome_->message : std::string("success"));
    lifeline_.reset();
    if (source_) source_->close(0);
    if (destination_) destination_->close(0);
}

void Client::drive(DriverEvent event, std::optional<Error> error) {
    switch (driver_.handle(event, std::move(error))) {
        case DriverVerb::none: return;
        case DriverVerb::call_begin: return call(Call::begin, false);
        case DriverVerb::call_prepare: return call(Call::prepare, false);
        case DriverVerb::call_perform: return call(Call::perform, false);
        case DriverVerb::call_finish: return call(Call::finish, false);
        case DriverVerb::call_finish_cancelled: return call(Call::finish, true);
        case DriverVerb::call_confirm: return call(Call::confirm, false);
        case DriverVerb::call_confirm_cancelled: return call(Call::confirm, true);
        case DriverVerb::close: return finish(driver_.outcome());
    }
}

DriverEvent Client::event_of(Call call, bool ok) const {
    switch (call) {
        case Call::begin: return ok ? DriverEvent::begin_ok : DriverEvent::begin_failed;
        case Call::prepare: return ok ? DriverEvent::prepare_ok : DriverEvent::prepare_failed;
        case Call::perform: return ok ? DriverEvent::perform_ok : DriverEvent::perform_failed;
        case Call::finish: return ok ? DriverEvent::finish_ok : DriverEvent::finish_failed;
        default: return ok ? DriverEvent::confirm_ok : DriverEvent::confirm_failed;
    }
}

void Client::call(Call which, bool cancelled) {
    awaited_ = which;
    Message message;
    message.call = which;
    message.domain = order_.domain;
    message.destination = order_.to;
    message.protocol = order_.protocol;
    message.peer_to_peer = order_.peer_to_peer;
    message.cancelled = cancelled;
    message.address = address_;
    // v2 hands Prepare's cookie on to Finish; v3 hands each call's to the next.
    const bool from_prepare = order_.protocol == 2 || which == Call::perform;
    message.cookie = from_prepare ? prepare_cookie_ : cookie_;
    const bool at_destination = which == Call::prepare || which == Call::finish;
    const auto& connection = at_destination ? destination_ : source_;
    if (!connection || !connection->open()) {
        cluster_.world.after(10us, lifeline_, [this, at_destination] { lost(!at_destination); });
        return;
    }
    connection->send(0, std::move(message));
}

void Client::heard(const Message& message) {
    if (done_ || !message.reply || message.call != awaited_) return;
    awaited_ = Call::none;
    cookie_ = message.cookie;
    if (message.call == Call::prepare) {
        prepare_cookie_ = message.cookie;
        address_ = message.address;
    }
    if (order_.peer_to_peer) return finish(message.error);
    drive(event_of(message.call, !message.error), message.error);
}

// The call that waits on this connection has failed, as far as the client can tell.
void Client::lost(bool source) {
    if (done_) return;
    const bool at_destination = awaited_ == Call::prepare || awaited_ == Call::finish;
    if (awaited_ == Call::none || at_destination == source) return;
    const Call failed = std::exchange(awaited_, Call::none);
    const Error error{ErrorCode::connection_lost, "End of file while reading data"};
    if (order_.peer_to_peer) return finish(error);
    drive(event_of(failed, false), error);
}

}  // namespace segue::sim
