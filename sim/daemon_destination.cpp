// SPDX-License-Identifier: LGPL-2.1-or-later
// The destination's calls, the actions of its machine, and its end of the peer links.
#include "migrate/peer_link.schema.h"
#include "sim/daemon_parts.h"

namespace segue::sim {

using migrate::DestinationCall;
using migrate::DestinationEvent;
using migrate::DestinationVerb;

void Daemon::prepare(const Caller& caller) {
    const int domain = caller.request.domain;
    if (active(domain) != nullptr || destination_of(domain) != nullptr) {
        return answer(caller, Error{ErrorCode::operation_invalid, "domain is already active"});
    }
    migrate::DestinationOptions options;
    options.protocol = static_cast<migrate::Protocol>(caller.request.protocol);
    options.id = Uuid::random(world_.random());
    options.domain = domain_uuid(domain);
    options.domain_name = domain_name(domain);
    options.incarnation =
        host_.name() + "." + domain_name(domain) + "." + std::to_string(++host_.started);
    options.peer_to_peer = caller.request.peer_to_peer;
    if (caller.request.protocol == 3) {
        auto cookie = migrate::parse_cookie(
            caller.request.cookie, expectation(migrate::CookieStep::begin_to_prepare, domain));
        if (!cookie) return answer(caller, cookie.error());
        options.source_has_right = cookie->source_has_right && !host_.stock;
        options.source_host = cookie->hostname;
    }
    const auto job =
        jobs_of(domain).start(migrate::AsyncKind::migration_in, "prepare", world_.now());
    if (!job) return answer(caller, job.error());
    const std::string incarnation = options.incarnation;
    auto made = std::make_unique<Destination>(domain, incarnation,
                                              migrate::DestinationMachine(std::move(options)));
    Destination& destination = *(destinations_[incarnation] = std::move(made));
    destination.client = caller.session;
    migrate::DestinationInput input{DestinationEvent::prepare_called};
    if (!host_.stock) {
        input.peer.address = host_.name();
        input.peer.port = 7;
        world_.random().fill(input.peer.key);
    }
    feed(destination, input, caller);
}

void Daemon::finish(const Caller& caller) {
    Destination* destination = destination_of(caller.request.domain);
    if (destination == nullptr || destination->client.lock() != caller.session.lock()) {
        return answer(caller,
                      Error{ErrorCode::operation_invalid, "is not processing incoming migration"});
    }
    migrate::DestinationInput input{caller.request.cancelled ? DestinationEvent::finish_cancelled
                                                             : DestinationEvent::finish_succeeded};
    if (caller.request.protocol == 3 && !caller.request.cancelled) {
        auto cookie = migrate::parse_cookie(
            caller.request.cookie,
            expectation(migrate::CookieStep::perform_to_finish, caller.request.domain));
        if (!cookie) return answer(caller, cookie.error());
        input.right = cookie->right;
    }
    feed(*destination, input, caller);
}

void Daemon::feed(Destination& destination, migrate::DestinationInput input,
                  std::optional<Caller> caller) {
    destination.queue.push_back({std::move(input), std::move(caller)});
    if (!destination.busy) run_queue(destination);
}

void Daemon::run_queue(Destination& destination) {
    destination.busy = true;
    while (!destination.queue.empty() && !dead_) {
        const Destination::Item item = std::move(destination.queue.front());
        destination.queue.pop_front();
        const auto before = destination.machine.state();
        auto actions = destination.machine.handle(item.input, world_.now());
        world_.trace("{}: {} destination {} + {} -> {}", host_.name(),
                     domain_name(destination.domain),
                     migrate::DestinationMachine::step_name(before),
                     migrate::destination_events()[static_cast<std::size_t>(item.input.event)].name,
                     actions ? migrate::DestinationMachine::step_name(destination.machine.state())
                             : std::string_view("refused"));
        using State = migrate::DestinationState;
        if (item.input.event == DestinationEvent::resume_failed && before == State::resuming &&
            destination.machine.state() == State::running) {
            host_.left_paused.insert(destination.incarnation);
        }
        if (!actions) {
            if (item.caller) answer(*item.caller, actions.error());
            continue;
        }
        if (item.caller) {
            const bool first = item.caller->request.call == Call::prepare;
            destination.open[first ? DestinationCall::prepare : DestinationCall::finish] =
                *item.caller;
        }
        for (const auto& action : *actions) {
            if (dies_now()) return;
            carry_out(destination, action);
        }
    }
    destination.busy = false;
}

void Daemon::carry_out(Destination& destination, const migrate::DestinationAction& action) {
    FakeQemu* qemu = cluster_.machines.find(destination.incarnation);
    const auto later = [&](Duration delay, DestinationEvent event) {
        world_.after(delay, lifeline_, [this, name = destination.incarnation, event] {
            const auto found = destinations_.find(name);
            if (found != destinations_.end()) feed(*found->second, {event});
        });
    };
    const auto tell = [&](migrate::peer::Kind kind) {
        if (!destination.link || !destination.link->ready()) return;
        destination.link->send(kind);
        Bytes out = destination.link->output();
        destination.peer->send(1, std::move(out));
    };
    switch (action.verb) {
        case DestinationVerb::enter_phase:
            if (!destination.job_over) set_phase(jobs_of(destination.domain), action.phase);
            return;
        case DestinationVerb::reply_ok:
        case DestinationVerb::reply_error: return reply(destination, action);
        case DestinationVerb::write_record:
            return store_record(action.record, [this, name = destination.incarnation](bool stored) {
                const auto found = destinations_.find(name);
                if (found == destinations_.end()) return;
                feed(*found->second,
                     {stored ? DestinationEvent::record_stored : DestinationEvent::record_failed});
            });
        case DestinationVerb::forget_record: return erase_record(action.record);
        case DestinationVerb::start_incoming: return start_incoming(destination);
        case DestinationVerb::kill_incoming:
            if (host_.mistake == Mistake::forget_to_kill) return;
            if (qemu != nullptr) cluster_.machines.kill(*qemu);
            return;
        case DestinationVerb::resume_guest: {
            const bool fails = world_.chance(1);
            const bool done =
                qemu != nullptr && !fails && (!action.run || cluster_.machines.resume(*qemu));
            // A QEMU that is gone reports its exit by itself; after a restart nobody does.
            return later(200us, qemu == nullptr ? DestinationEvent::qemu_exited
                                : done          ? DestinationEvent::guest_resumed
                                                : DestinationEvent::resume_failed);
        }
        case DestinationVerb::tell_received: return tell(migrate::peer::Kind::received);
        case DestinationVerb::tell_taken: return tell(migrate::peer::Kind::took);
        case DestinationVerb::tell_refused: return tell(migrate::peer::Kind::refused);
        case DestinationVerb::close_peer:
            if (destination.peer) destination.peer->close(1);
            destination.peer.reset();
            destination.link.reset();
            return;
        case DestinationVerb::start_timer: {
            const std::uint64_t number = ++destination.timer;
            world_.after(action.delay, lifeline_, [this, name = destination.incarnation, number] {
                const auto found = destinations_.find(name);
                if (found == destinations_.end() || found->second->timer != number) return;
                feed(*found->second, {DestinationEvent::timer_expired});
            });
            return;
        }
        case DestinationVerb::stop_timer: ++destination.timer; return;
        case DestinationVerb::end_job:
            destination.job_over = true;
            return jobs_of(destination.domain).finish();
        case DestinationVerb::end_machine:
            destination.over = true;
            world_.after(0ns, lifeline_, [this] { sweep(); });
            return;
        default: return;
    }
}

void Daemon::start_incoming(Destination& destination) {
    const bool starts = !world_.chance(2);
    world_.after(
        world_.between(5ms, 80ms), lifeline_, [this, name = destination.incarnation, starts] {
            const auto found = destinations_.find(name);
            if (found == destinations_.end()) return;
            Destination& mine = *found->second;
            if (mine.machine.state() != migrate::DestinationState::starting) return;
            if (starts) {
                listen(cluster_.machines.start(host_.number, mine.domain, mine.incarnation, true));
            }
            feed(mine,
                 {starts ? DestinationEvent::incoming_ready : DestinationEvent::incoming_failed});
        });
}

void Daemon::reply(Destination& destination, const migrate::DestinationAction& action) {
    const auto open = destination.open.find(action.call);
    if (open == destination.open.end()) return;
    migrate::Cookie cookie = own_cookie(destination.domain);
    if (action.call == DestinationCall::prepare) {
        if (action.record.peer.present()) {
            cookie.offer = migrate::DestinationOffer{action.record.id, action.record.peer, ""};
        }
    } else {
        cookie.capabilities.reset();
    }
    answer(open->second, action.error, migrate::write_cookie(cookie), destination.incarnation);
    destination.open.erase(open);
}

// A stranger until its hello names a migration of ours and shows the key.
void Daemon::accept_peer(const std::shared_ptr<Connection>& connection) {
    connections_[connection->id()] = connection;
    auto link = std::make_shared<migrate::PeerLink>(migrate::PeerLink::accepted());
    auto owner = std::make_shared<std::string>();
    const std::weak_ptr<const int> weak = lifeline_;
    const auto mine = [this, owner, id = connection->id()]() -> Destination* {
        const auto found = destinations_.find(*owner);
        if (found == destinations_.end() || !found->second->peer ||
            found->second->peer->id() != id) {
            return nullptr;
        }
        return found->second.get();
    };
    const auto hello = [this, link, owner, connection](const migrate::PeerMessage& message) {
        for (auto& [name, each] : destinations_) {
            if (each->over || each->machine.record().id != message.right.id) continue;
            if (!each->machine.key_fits(message.right.id, message.right.key)) break;
            *owner = name;
            if (each->peer) each->peer->close(1);
            each->peer = connection;
            each->link = *link;
            each->link->accept();
            Bytes out = each->link->output();
            connection->send(1, std::move(out));
            return feed(*each, {DestinationEvent::peer_linked});
        }
        link->refuse();
        Bytes out = link->output();
        connection->send(1, std::move(out));
        connection->close(1);
    };
    connection->attach(1, {[this, weak, link, mine, hello](const Bytes& bytes) {
                               if (!weak.lock() || dead_) return;
                               Destination* known = mine();
                               auto heard =
                                   known ? known->link->receive(bytes) : link->receive(bytes);
                               if (!heard) {
                                   cluster_.violations.push_back("the peer link is broken: " +
                                                                 heard.error().message);
                                   return;
                               }
                               for (const auto& each : *heard) {
                                   const auto event = each.destination_event();
                                   if (!event) {
                                       hello(each);
                                   } else if (Destination* present = mine()) {
                                       migrate::DestinationInput input{*event};
                                       if (*event == DestinationEvent::right_given)
                                           input.right = each.right;
                                       feed(*present, input);
                                   }
                                   if (dead_) return;
                               }
                           },
                           [this, weak, mine, id = connection->id()] {
                               if (!weak.lock() || dead_) return;
                               connections_.erase(id);
                               if (Destination* known = mine()) {
                                   known->peer.reset();
                                   known->link.reset();
                                   feed(*known, {DestinationEvent::peer_lost});
                               }
                           }});
}

}  // namespace segue::sim
