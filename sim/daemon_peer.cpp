// SPDX-License-Identifier: LGPL-2.1-or-later
// Peer-to-peer: the source's daemon is the client of the destination's, by the driver's rules.
#include "sim/daemon_parts.h"

namespace segue::sim {

using migrate::DriverEvent;
using migrate::DriverVerb;
using migrate::SourceCall;
using migrate::SourceEvent;

void Daemon::drive(Source& source, DriverEvent event, std::optional<Error> error) {
    if (!source.driver) return;
    switch (source.driver->handle(event, std::move(error))) {
        case DriverVerb::none: return;
        case DriverVerb::call_begin:
            if (source.machine.record().protocol == migrate::Protocol::version2) {
                return drive(source, DriverEvent::begin_ok);
            }
            return feed(source, {SourceEvent::begin_called});
        case DriverVerb::call_prepare: return call_destination(source, Call::prepare, false);
        case DriverVerb::call_perform: {
            migrate::SourceInput input{SourceEvent::perform_called};
            auto cookie = migrate::parse_cookie(
                source.prepare_cookie,
                expectation(migrate::CookieStep::prepare_to_perform, source.domain));
            if (!cookie) return drive(source, DriverEvent::perform_failed, cookie.error());
            if (!host_.stock) input.offer = cookie->offer;
            return feed(source, input);
        }
        case DriverVerb::call_finish: return call_destination(source, Call::finish, false);
        case DriverVerb::call_finish_cancelled: return call_destination(source, Call::finish, true);
        case DriverVerb::call_confirm: return feed(source, {SourceEvent::confirm_succeeded});
        case DriverVerb::call_confirm_cancelled:
            return feed(source, {SourceEvent::confirm_cancelled});
        case DriverVerb::close: break;
    }
    if (const auto open = source.open.find(SourceCall::none); open != source.open.end()) {
        answer(open->second, source.driver->outcome());
        source.open.erase(open);
    }
    if (source.rpc) source.rpc->close(0);
    source.rpc.reset();
    // v2 ends here when Prepare fails: the machine was never begun.
    if (source.machine.state() == migrate::SourceState::idle) {
        source.jobs.finish();
        world_.after(0ns, lifeline_, [this, name = source.incarnation] { sources_.erase(name); });
        return;
    }
    world_.after(0ns, lifeline_, [this] { sweep(); });
}

void Daemon::call_destination(Source& source, Call call, bool cancelled) {
    source.awaited = call;
    const auto failed = [this, weak = std::weak_ptr(lifeline_), name = source.incarnation] {
        if (!weak.lock() || dead_) return;
        const auto found = sources_.find(name);
        if (found == sources_.end()) return;
        found->second->rpc.reset();
        Message lost;
        lost.call = std::exchange(found->second->awaited, Call::none);
        lost.error = Error{ErrorCode::connection_lost, "client socket is closed"};
        if (lost.call != Call::none) destination_answered(*found->second, lost);
    };
    if (!source.rpc && call == Call::prepare) {
        Host& host = *cluster_.hosts[static_cast<std::size_t>(source.destination)];
        source.rpc = host.daemon ? cluster_.network.connect(host_.number, host.number) : nullptr;
        if (source.rpc) {
            source.rpc->attach(0, {[this, weak = std::weak_ptr(lifeline_),
                                    name = source.incarnation](const Message& message) {
                                       if (!weak.lock() || dead_) return;
                                       const auto found = sources_.find(name);
                                       if (found == sources_.end()) return;
                                       if (found->second->awaited != message.call) return;
                                       found->second->awaited = Call::none;
                                       destination_answered(*found->second, message);
                                   },
                                   failed});
            host.daemon->accept(source.rpc, false);
        }
    }
    if (!source.rpc) {
        world_.after(1ms, failed);
        return;
    }
    Message message;
    message.call = call;
    message.serial = ++next_serial_;
    message.domain = source.domain;
    message.protocol = static_cast<int>(source.machine.record().protocol);
    message.peer_to_peer = true;
    message.cancelled = cancelled;
    const bool version2 = message.protocol == 2;
    message.cookie = call == Call::prepare ? source.begin_cookie
                     : version2            ? source.prepare_cookie
                                           : source.perform_cookie;
    source.rpc->send(0, std::move(message));
}

void Daemon::destination_answered(Source& source, const Message& message) {
    if (message.call == Call::prepare) {
        source.prepare_cookie = message.cookie;
        source.address = message.address;
        return drive(source, message.error ? DriverEvent::prepare_failed : DriverEvent::prepare_ok,
                     message.error);
    }
    drive(source, message.error ? DriverEvent::finish_failed : DriverEvent::finish_ok,
          message.error);
}

void Daemon::reply_to_driver(Source& source, const migrate::SourceAction& action) {
    migrate::Cookie cookie = own_cookie(source.domain);
    const bool failed = action.error.has_value();
    // Posted: the driver's next call must not run inside this action list.
    const auto post = [&](DriverEvent event) {
        world_.after(1us, lifeline_,
                     [this, name = source.incarnation, event, error = action.error] {
                         const auto found = sources_.find(name);
                         if (found != sources_.end()) drive(*found->second, event, error);
                     });
    };
    switch (action.call) {
        case SourceCall::begin:
            cookie.features = {"lockstate"};
            cookie.source_has_right = !host_.stock;
            source.begin_cookie = migrate::write_cookie(cookie);
            return post(failed ? DriverEvent::begin_failed : DriverEvent::begin_ok);
        case SourceCall::perform:
            cookie.capabilities.reset();
            if (action.record.right == migrate::Right::given && action.record.peer_has_right) {
                cookie.right = migrate::GivenRight{action.record.id, action.record.peer.key,
                                                   action.record.run_guest};
            }
            source.perform_cookie = migrate::write_cookie(cookie);
            return post(failed ? DriverEvent::perform_failed : DriverEvent::perform_ok);
        case SourceCall::confirm:
            return post(failed ? DriverEvent::confirm_failed : DriverEvent::confirm_ok);
        default: return;
    }
}

}  // namespace segue::sim
