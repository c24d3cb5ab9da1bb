// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sim/client.h"

namespace segue::sim {

using migrate::DriverEvent;
using migrate::DriverVerb;

Client::Client(Cluster& cluster, int number, Order order)
    : cluster_(cluster),
      number_(number),
      order_(order),
      loop_(cluster.world),
      driver_({static_cast<migrate::Protocol>(order.protocol), false, true}) {}

void Client::start() {
    cluster_.world.trace("client {}: {} from host{} to host{}, v{}{}", number_,
                         domain_name(order_.domain), order_.from, order_.to, order_.protocol,
                         order_.peer_to_peer ? ", peer-to-peer" : "");
    source_ = RemoteDaemon::connect(cluster_, loop_, number_, order_.from);
    if (!order_.peer_to_peer) {
        destination_ = RemoteDaemon::connect(cluster_, loop_, number_, order_.to);
    }
    if (!source_ || (!destination_ && !order_.peer_to_peer)) {
        return finish(Error{ErrorCode::connection_lost, "cannot connect"});
    }
    opening_ = destination_ ? 2 : 1;
    source_->open([this](const Result<>& outcome) { opened(outcome); });
    if (destination_) destination_->open([this](const Result<>& outcome) { opened(outcome); });
}

void Client::opened(const Result<>& outcome) {
    if (done_ || dead_) return;
    if (!outcome) return finish(outcome.error());
    if (--opening_ > 0) return;
    if (order_.peer_to_peer) return call(Call::perform, false);
    drive(DriverEvent::start);
}

void Client::die() {
    if (done_ || dead_) return;
    dead_ = true;
    cluster_.world.trace("client {} dies", number_);
    source_.reset();
    destination_.reset();
}

void Client::finish(std::optional<Error> outcome) {
    done_ = true;
    outcome_ = std::move(outcome);
    cluster_.world.trace("client {} is done: {}", number_,
                         outcome_ ? outcome_->message : std::string("success"));
    for (auto* daemon : {&source_, &destination_}) {
        if (*daemon) (*daemon)->close();
        daemon->reset();
    }
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
    Request request;
    request.call = which;
    request.domain = order_.domain;
    request.destination = order_.to;
    request.protocol = order_.protocol;
    request.peer_to_peer = order_.peer_to_peer;
    request.cancelled = cancelled;
    request.address = address_;
    // v2 hands Prepare's cookie on to Finish; v3 hands each call's to the next.
    const bool from_prepare = order_.protocol == 2 || which == Call::perform;
    request.cookie = from_prepare ? prepare_cookie_ : cookie_;
    const bool at_destination = which == Call::prepare || which == Call::finish;
    (at_destination ? destination_ : source_)->call(request, [this, which](const Outcome& outcome) {
        heard(which, outcome);
    });
}

void Client::heard(Call call, const Outcome& outcome) {
    if (done_ || dead_) return;
    cookie_ = outcome.cookie;
    if (call == Call::prepare) {
        prepare_cookie_ = outcome.cookie;
        address_ = outcome.address;
    }
    if (order_.peer_to_peer) return finish(outcome.error);
    drive(event_of(call, !outcome.error), outcome.error);
}

}  // namespace segue::sim
