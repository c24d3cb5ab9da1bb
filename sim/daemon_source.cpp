// SPDX-License-Identifier: LGPL-2.1-or-later
// The source's calls, and the actions of its machine.
#include <charconv>

#include "migrate/peer_link.schema.h"
#include "sim/daemon_parts.h"

namespace segue::sim {

using migrate::SourceCall;
using migrate::SourceEvent;
using migrate::SourceVerb;

// Null, and the caller is answered, when the domain has a job.
Daemon::Source* Daemon::make_source(const Caller& caller, FakeQemu& qemu) {
    const auto job =
        jobs_of(qemu.domain).start(migrate::AsyncKind::migration_out, "migrate", world_.now());
    if (!job) {
        answer(caller, job.error());
        return nullptr;
    }
    migrate::SourceOptions options;
    options.protocol = static_cast<migrate::Protocol>(caller.request.protocol);
    options.fallback_id = Uuid::random(world_.random());
    options.domain = domain_uuid(qemu.domain);
    options.domain_name = domain_name(qemu.domain);
    options.incarnation = qemu.incarnation;
    options.peer_to_peer = caller.request.peer_to_peer;
    options.run_guest = qemu.running;
    auto made = std::make_unique<Source>(qemu.domain, qemu.incarnation,
                                         migrate::SourceMachine(std::move(options)));
    Source& source = *(sources_[qemu.incarnation] = std::move(made));
    source.client = caller.session;
    return &source;
}

void Daemon::begin(const Caller& caller) {
    FakeQemu* qemu = active(caller.request.domain);
    if (qemu == nullptr) return answer(caller, Error{ErrorCode::no_domain, "not here"});
    // v2 has no Begin: the XML is fetched, and nothing is held.
    if (caller.request.protocol == 2) return answer(caller, std::nullopt);
    if (Source* source = make_source(caller, *qemu)) {
        feed(*source, {SourceEvent::begin_called}, caller);
    }
}

void Daemon::perform(const Caller& caller) {
    Source* source = source_of(caller.request.domain);
    const bool fresh = caller.request.protocol == 2 || caller.request.peer_to_peer;
    if (fresh && source != nullptr) {
        return answer(caller, Error{ErrorCode::operation_invalid, "another migration job"});
    }
    if (source == nullptr) {
        FakeQemu* qemu = fresh ? active(caller.request.domain) : nullptr;
        if (qemu == nullptr) return answer(caller, Error{ErrorCode::no_domain, "not here"});
        source = make_source(caller, *qemu);
        if (source == nullptr) return;
    }
    if (caller.request.peer_to_peer) {
        source->destination = caller.request.destination;
        source->open[SourceCall::none] = caller;
        source->driver = std::make_unique<migrate::Driver>(migrate::DriverOptions{
            static_cast<migrate::Protocol>(caller.request.protocol), false, true});
        return connect_destination(
            *source, [this](Source& ready) { drive(ready, migrate::DriverEvent::start); });
    }
    source->address = caller.request.address;
    auto cookie = migrate::parse_cookie(
        caller.request.cookie,
        expectation(migrate::CookieStep::prepare_to_perform, caller.request.domain));
    if (!cookie) return feed(*source, {SourceEvent::perform_rejected, cookie.error()}, caller);
    migrate::SourceInput input{SourceEvent::perform_called};
    if (!host_.stock) input.offer = cookie->offer;
    feed(*source, input, caller);
}

void Daemon::confirm(const Caller& caller) {
    Source* source = source_of(caller.request.domain);
    if (source == nullptr || source->client.lock() != caller.session.lock()) {
        return answer(caller, Error{ErrorCode::operation_invalid, "is not being migrated"});
    }
    feed(*source,
         {caller.request.cancelled ? SourceEvent::confirm_cancelled
                                   : SourceEvent::confirm_succeeded},
         caller);
}

void Daemon::abort(const Caller& caller) {
    Source* source = source_of(caller.request.domain);
    if (source == nullptr) {
        return answer(caller, Error{ErrorCode::operation_invalid, "no job is active"});
    }
    feed(*source, {SourceEvent::cancel_asked}, caller);
    answer(caller, std::nullopt);
}

void Daemon::feed(Source& source, migrate::SourceInput input, std::optional<Caller> caller) {
    source.queue.push_back({std::move(input), std::move(caller)});
    if (!source.busy) run_queue(source);
}

void Daemon::run_queue(Source& source) {
    source.busy = true;
    while (!source.queue.empty() && !dead_) {
        const Source::Item item = std::move(source.queue.front());
        source.queue.pop_front();
        const auto before = source.machine.state();
        cluster_.link_was_late |= before == migrate::SourceState::linking &&
                                  item.input.event == SourceEvent::timer_expired;
        auto actions = source.machine.handle(item.input, world_.now());
        world_.trace("{}: {} source {} + {} -> {}", host_.name(), domain_name(source.domain),
                     migrate::SourceMachine::step_name(before),
                     migrate::source_events()[static_cast<std::size_t>(item.input.event)].name,
                     actions ? migrate::SourceMachine::step_name(source.machine.state())
                             : std::string_view("refused"));
        if (!actions) {
            refused(source, item.input.event, item.caller, actions.error());
            continue;
        }
        if (item.caller) {
            const Call call = item.caller->request.call;
            const SourceCall kind = call == Call::begin     ? SourceCall::begin
                                    : call == Call::perform ? SourceCall::perform
                                                            : SourceCall::confirm;
            if (call != Call::abort) source.open[kind] = *item.caller;
        }
        // The reply may be the first action, and the call is known to the machine already.
        for (const auto& action : *actions) {
            if (dies_now()) return;
            carry_out(source, action);
        }
    }
    source.busy = false;
    // As segued: the QEMU that stays for its viewers does so on its own, and the domain is free.
    if (source.machine.state() == migrate::SourceState::lingering && !dead_) {
        feed_later(source, 1us, SourceEvent::screen_done);
    }
    if (source.machine.ended() && !dead_) {
        world_.after(0ns, lifeline_, [this] { sweep(); });
    }
}

// A call that did not fit the machine's state: its caller, or our own driver, must hear of it.
void Daemon::refused(Source& source, SourceEvent event, const std::optional<Caller>& caller,
                     const Error& error) {
    using migrate::DriverEvent;
    static const std::map<SourceEvent, DriverEvent> calls = {
        {SourceEvent::begin_called, DriverEvent::begin_failed},
        {SourceEvent::perform_called, DriverEvent::perform_failed},
        {SourceEvent::perform_rejected, DriverEvent::perform_failed},
        {SourceEvent::confirm_succeeded, DriverEvent::confirm_failed},
        {SourceEvent::confirm_cancelled, DriverEvent::confirm_failed},
    };
    if (caller && caller->request.call != Call::abort) return answer(*caller, error);
    const auto call = calls.find(event);
    if (caller || !source.driver || call == calls.end()) return;
    world_.after(1us, lifeline_, [this, name = source.incarnation, failed = call->second, error] {
        const auto found = sources_.find(name);
        if (found != sources_.end()) drive(*found->second, failed, error);
    });
}

void Daemon::sweep() {
    std::erase_if(sources_, [](const auto& each) {
        const Source& source = *each.second;
        const bool driven = source.driver && source.driver->state() != migrate::DriverState::done;
        return source.machine.ended() && !driven;
    });
    std::erase_if(destinations_, [](const auto& each) { return each.second->over; });
}

void Daemon::feed_later(Source& source, Duration delay, SourceEvent event) {
    world_.after(delay, lifeline_, [this, name = source.incarnation, event] {
        const auto found = sources_.find(name);
        if (found != sources_.end()) feed(*found->second, {event});
    });
}

void Daemon::carry_out(Source& source, const migrate::SourceAction& action) {
    switch (action.verb) {
        case SourceVerb::enter_phase: set_phase(jobs_of(source.domain), action.phase); return;
        case SourceVerb::reply_ok:
        case SourceVerb::reply_error: return reply(source, action);
        case SourceVerb::write_record:
            return store_record(action.record, [this, name = source.incarnation](bool stored) {
                const auto found = sources_.find(name);
                if (found == sources_.end()) return;
                feed(*found->second,
                     {stored ? SourceEvent::record_stored : SourceEvent::record_failed});
            });
        case SourceVerb::note_record: return store_record(action.record, [](bool) {});
        case SourceVerb::forget_record: return erase_record(action.record);
        case SourceVerb::dial_peer:
            return dial(source,
                        [this](Source& linked) { feed(linked, {SourceEvent::peer_linked}); });
        case SourceVerb::ask_peer:
            if (host_.mistake == Mistake::resume_unasked) {
                return feed_later(source, 1ms, SourceEvent::peer_refused);
            }
            if (host_.mistake == Mistake::kill_on_silence) {
                return feed_later(source, 1ms, SourceEvent::peer_took);
            }
            return dial(source,
                        [](Source& linked) { linked.link->send(migrate::peer::Kind::asks); });
        case SourceVerb::give_right:
            return dial(source, [](Source& linked) {
                const auto& record = linked.machine.record();
                linked.link->give({record.id, record.peer.key, record.run_guest});
            });
        case SourceVerb::cancel_peer: return tell_peer(source, migrate::peer::Kind::cancels);
        case SourceVerb::release_peer: return tell_peer(source, migrate::peer::Kind::releases);
        case SourceVerb::close_peer:
            if (source.peer) source.peer->close(0);
            source.peer.reset();
            source.link.reset();
            return;
        case SourceVerb::report_unresolved: ++host_.reports; return;
        case SourceVerb::start_timer: {
            const std::uint64_t number = ++source.timer;
            world_.after(action.delay, lifeline_, [this, name = source.incarnation, number] {
                const auto found = sources_.find(name);
                if (found == sources_.end() || found->second->timer != number) return;
                feed(*found->second, {SourceEvent::timer_expired});
            });
            return;
        }
        case SourceVerb::stop_timer: ++source.timer; return;
        case SourceVerb::end_job:
            if (host_.mistake == Mistake::forget_the_job && action.error) return;
            jobs_of(source.domain).finish();
            return;
        default: return use_qemu(source, action);
    }
}

void Daemon::use_qemu(Source& source, const migrate::SourceAction& action) {
    FakeQemu* qemu = cluster_.machines.find(source.incarnation);
    switch (action.verb) {
        case SourceVerb::move_screen:
            world_.after(world_.between(10us, 300ms), lifeline_, [this, name = source.incarnation] {
                const auto found = sources_.find(name);
                if (found == sources_.end()) return;
                migrate::SourceInput ready{SourceEvent::screen_ready};
                ready.screen_moving = world_.chance(50);
                feed(*found->second, ready);
            });
            return;
        case SourceVerb::start_transfer:
            if (qemu == nullptr) return feed(source, {SourceEvent::transfer_failed});
            return cluster_.machines.migrate(*qemu, source.address);
        case SourceVerb::cancel_transfer:
            if (qemu != nullptr) cluster_.machines.cancel(*qemu);
            return;
        case SourceVerb::resume_guest: {
            const bool done = qemu != nullptr && (!action.run || cluster_.machines.resume(*qemu));
            return feed_later(source, 200us,
                              done ? SourceEvent::guest_resumed : SourceEvent::resume_failed);
        }
        case SourceVerb::kill_guest:
            if (qemu != nullptr) cluster_.machines.kill(*qemu);
            return;
        default: return;
    }
}

void Daemon::reply(Source& source, const migrate::SourceAction& action) {
    if (source.driver) return reply_to_driver(source, action);
    const auto open = source.open.find(action.call);
    if (open == source.open.end()) return;
    migrate::Cookie cookie = own_cookie(source.domain);
    if (action.call == SourceCall::begin) {
        cookie.features = {"lockstate"};
        cookie.source_has_right = !host_.stock;
    }
    if (action.call == SourceCall::perform && action.record.right == migrate::Right::given &&
        action.record.peer_has_right) {
        cookie.right =
            migrate::GivenRight{action.record.id, action.record.peer.key, action.record.run_guest};
    }
    if (action.call == SourceCall::perform) cookie.capabilities.reset();
    answer(open->second, action.error, migrate::write_cookie(cookie));
    source.open.erase(open);
}

// Opens the link, or uses the one there is; without success the machine is fed peer_lost.
void Daemon::dial(Source& source, std::function<void(Source&)> when_ready) {
    source.when_linked.push_back(std::move(when_ready));
    if (source.link && source.link->ready()) {
        peer_bytes(source, {});
        return;
    }
    if (source.peer) return;
    const migrate::Record& record = source.machine.record();
    Host* host = cluster_.named(record.peer.address);
    auto connection =
        host && host->daemon ? cluster_.network.connect(host_.number, host->number) : nullptr;
    const auto lost = [this, weak = std::weak_ptr(lifeline_), name = source.incarnation](int id) {
        if (!weak.lock() || dead_) return;
        const auto found = sources_.find(name);
        if (found == sources_.end()) return;
        Source& mine = *found->second;
        if (mine.peer && mine.peer->id() != id) return;
        mine.peer.reset();
        mine.link.reset();
        mine.when_linked.clear();
        feed(mine, {SourceEvent::peer_lost});
    };
    if (!connection) {
        world_.after(world_.between(1ms, 3s), [lost] { lost(-1); });
        return;
    }
    source.peer = connection;
    source.link = migrate::PeerLink::dialled(record.id, record.peer.key);
    connection->attach(0, {[this, weak = std::weak_ptr(lifeline_), name = source.incarnation,
                            id = connection->id()](const Bytes& bytes) {
                               if (!weak.lock() || dead_) return;
                               const auto found = sources_.find(name);
                               if (found == sources_.end() || !found->second->peer ||
                                   found->second->peer->id() != id) {
                                   return;
                               }
                               peer_bytes(*found->second, bytes);
                           },
                           [lost, id = connection->id()] { lost(id); }});
    host->daemon->accept(connection, true);
    connection->send(0, source.link->output());
}

void Daemon::peer_bytes(Source& source, const Bytes& bytes) {
    if (!source.link) return;
    auto heard = source.link->receive(bytes);
    if (!heard) {
        cluster_.violations.push_back("the peer link is broken: " + heard.error().message);
        return;
    }
    if (source.link->ready()) {
        auto waiting = std::exchange(source.when_linked, {});
        for (auto& each : waiting)
            each(source);
    }
    if (source.link) {
        Bytes out = source.link->output();
        if (!out.empty()) source.peer->send(0, std::move(out));
    }
    for (const auto& each : *heard) {
        if (const auto event = each.source_event()) feed(source, {*event});
        if (dead_) return;
    }
}

// Over the link if it is up; else a connection of its own, once.
void Daemon::tell_peer(Source& source, migrate::peer::Kind kind) {
    const migrate::Record& record = source.machine.record();
    if (!record.peer_has_right) return;
    if (source.link && source.link->ready()) {
        source.link->send(kind);
        Bytes out = source.link->output();
        source.peer->send(0, std::move(out));
        return;
    }
    Host* host = cluster_.named(record.peer.address);
    auto connection =
        host && host->daemon ? cluster_.network.connect(host_.number, host->number) : nullptr;
    if (!connection) return;
    auto link =
        std::make_shared<migrate::PeerLink>(migrate::PeerLink::dialled(record.id, record.peer.key));
    connection->attach(0, {[connection, link, kind](const Bytes& bytes) {
                               if (!link->receive(bytes) || !link->ready()) return;
                               link->send(kind);
                               Bytes out = link->output();
                               connection->send(0, std::move(out));
                               connection->close(0);
                           },
                           [] {}});
    host->daemon->accept(connection, true);
    connection->send(0, link->output());
}

}  // namespace segue::sim
