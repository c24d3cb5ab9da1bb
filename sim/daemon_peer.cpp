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
            if (!cookie) return feed(source, {SourceEvent::perform_rejected, cookie.error()});
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
    if (source.rpc) source.rpc->close();
    source.rpc.reset();
    // v2 ends here when Prepare fails: the machine was never begun.
    if (source.machine.state() == migrate::SourceState::idle) {
        jobs_of(source.domain).finish();
        world_.after(0ns, lifeline_, [this, name = source.incarnation] { sources_.erase(name); });
        return;
    }
    world_.after(0ns, lifeline_, [this] { sweep(); });
}

// Each call of the driver finds the migration again by its incarnation: it may be over meanwhile.
void Daemon::call_destination(Source& source, Call call, bool cancelled) {
    const auto done = [this, weak = std::weak_ptr(lifeline_), name = source.incarnation,
                       call](const Outcome& outcome) {
        if (!weak.lock() || dead_) return;
        const auto found = sources_.find(name);
        if (found != sources_.end()) destination_answered(*found->second, call, outcome);
    };
    if (!source.rpc) {
        const Error lost{ErrorCode::connection_lost, "client socket is closed"};
        world_.after(1ms, lifeline_, [done, lost] { done({lost, {}, {}}); });
        return;
    }
    Request request;
    request.call = call;
    request.domain = source.domain;
    request.protocol = static_cast<int>(source.machine.record().protocol);
    request.peer_to_peer = true;
    request.cancelled = cancelled;
    request.cookie = call == Call::prepare   ? source.begin_cookie
                     : request.protocol == 2 ? source.prepare_cookie
                                             : source.perform_cookie;
    source.rpc->call(request, done);
}

// Connected or not, the driver starts: its first call to the destination then fails.
void Daemon::connect_destination(Source& source, std::function<void(Source&)> connected) {
    source.rpc = RemoteDaemon::connect(cluster_, loop_, host_.number, source.destination);
    if (!source.rpc) return connected(source);
    source.rpc->open([this, weak = std::weak_ptr(lifeline_), name = source.incarnation,
                      connected](const Result<>& opened) {
        if (!weak.lock() || dead_) return;
        const auto found = sources_.find(name);
        if (found == sources_.end()) return;
        if (!opened) found->second->rpc.reset();
        connected(*found->second);
    });
}

void Daemon::destination_answered(Source& source, Call call, const Outcome& outcome) {
    const bool failed = outcome.error.has_value();
    if (call == Call::prepare) {
        source.prepare_cookie = outcome.cookie;
        source.address = outcome.address;
        return drive(source, failed ? DriverEvent::prepare_failed : DriverEvent::prepare_ok,
                     outcome.error);
    }
    drive(source, failed ? DriverEvent::finish_failed : DriverEvent::finish_ok, outcome.error);
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
