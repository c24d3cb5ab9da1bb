// SPDX-License-Identifier: LGPL-2.1-or-later
// Life and death of a simulated daemon, its store, and the calls that come in.
#include "sim/daemon.h"

#include <charconv>

#include "sim/daemon_parts.h"

namespace segue::sim {
namespace {

constexpr std::string_view kMistakes[] = {"none",           "resume-unasked", "acknowledge-early",
                                          "forget-to-kill", "forget-the-job", "kill-on-silence"};

}  // namespace

std::string_view name_of(Mistake mistake) {
    return kMistakes[static_cast<std::size_t>(mistake)];
}

Uuid domain_uuid(int domain) {
    Uuid uuid;
    uuid.bytes[0] = 0xd0;
    uuid.bytes[15] = static_cast<std::uint8_t>(domain);
    return uuid;
}

std::string domain_name(int domain) {
    return "guest" + std::to_string(domain);
}

Host* Cluster::named(const std::string& name) {
    for (const auto& host : hosts) {
        if (host->name() == name) return host.get();
    }
    return nullptr;
}

void Cluster::crash(Host& host) {
    if (!host.daemon) return;
    world.trace("{}: the daemon dies", host.name());
    ++host.crashes;
    host.actions_to_live = 0;
    host.daemon.reset();
    host.disk.crash(world.random().below(host.disk.unsynced() + 1));
}

void Cluster::restart(Host& host) {
    if (host.daemon) return;
    world.trace("{}: the daemon starts", host.name());
    host.daemon = std::make_unique<Daemon>(*this, host);
    host.daemon->start();
}

Daemon::Daemon(Cluster& cluster, Host& host)
    : cluster_(cluster), world_(cluster.world), host_(host) {}

// Its sockets close with it; its QEMUs live on.
Daemon::~Daemon() {
    for (auto& [id, connection] : connections_)
        connection->close(1);
    for (auto& [name, source] : sources_) {
        if (source->peer) source->peer->close(0);
        if (source->rpc) source->rpc->close(0);
    }
    for (const auto& [name, qemu] : cluster_.machines.all()) {
        if (qemu.host != host_.number) continue;
        if (FakeQemu* alive = cluster_.machines.find(name)) alive->listener = nullptr;
    }
}

void Daemon::start() {
    for (const auto& [name, qemu] : cluster_.machines.all()) {
        if (qemu.host != host_.number) continue;
        if (FakeQemu* alive = cluster_.machines.find(name)) listen(*alive);
    }
    const auto rows = host_.disk.migrations().value();
    for (const storage::MigrationRecord& row : rows) {
        const auto record = migrate::from_row(row);
        if (!record) {
            cluster_.violations.push_back("a record cannot be read: " + record.error().message);
            continue;
        }
        const bool alive = cluster_.machines.find(record->incarnation) != nullptr;
        const int domain = record->domain.bytes[15];
        if (record->role == migrate::Role::source) {
            auto made = std::make_unique<Source>(domain, record->incarnation,
                                                 migrate::SourceMachine::restored(*record, alive));
            Source& source = *(sources_[record->incarnation] = std::move(made));
            static_cast<void>(
                source.jobs.start(migrate::AsyncKind::migration_out, "recovery", world_.now()));
            feed(source, {migrate::SourceEvent::restarted});
        } else {
            auto made = std::make_unique<Destination>(
                domain, record->incarnation, migrate::DestinationMachine::restored(*record, alive));
            Destination& destination = *(destinations_[record->incarnation] = std::move(made));
            if (record->right != migrate::Right::refused && !record->settled) {
                static_cast<void>(destination.jobs.start(migrate::AsyncKind::migration_in,
                                                         "recovery", world_.now()));
            }
            feed(destination, {migrate::DestinationEvent::restarted});
        }
    }
}

void Daemon::listen(FakeQemu& qemu) {
    qemu.listener = [this, weak = std::weak_ptr(lifeline_),
                     name = qemu.incarnation](QemuEvent event) {
        if (weak.lock()) on_qemu(name, event);
    };
}

void Daemon::on_qemu(const std::string& incarnation, QemuEvent event) {
    using SE = migrate::SourceEvent;
    using DE = migrate::DestinationEvent;
    if (dead_) return;
    if (const auto found = sources_.find(incarnation); found != sources_.end()) {
        static const std::map<QemuEvent, SE> events = {
            {QemuEvent::completed, SE::transfer_completed},
            {QemuEvent::failed, SE::transfer_failed},
            {QemuEvent::cancelled, SE::transfer_cancelled},
            {QemuEvent::exited, SE::qemu_exited},
        };
        if (const auto known = events.find(event); known != events.end()) {
            feed(*found->second, {known->second});
        }
    }
    if (const auto found = destinations_.find(incarnation); found != destinations_.end()) {
        static const std::map<QemuEvent, DE> events = {
            {QemuEvent::loaded, DE::loaded},
            {QemuEvent::load_failed, DE::load_failed},
            {QemuEvent::exited, DE::qemu_exited},
        };
        if (const auto known = events.find(event); known != events.end()) {
            feed(*found->second, {known->second});
        }
    }
}

// A daemon may die between any two things it does.
bool Daemon::dies_now() {
    if (dead_) return true;
    if (host_.actions_to_live == 0 || --host_.actions_to_live > 0) return false;
    dead_ = true;
    lifeline_.reset();
    world_.after(0ns, [this_host = &host_, cluster = &cluster_] { cluster->crash(*this_host); });
    return true;
}

void Daemon::store_record(const migrate::Record& record, std::function<void(bool)> done) {
    const auto row = migrate::to_row<storage::MigrationRecord>(record);
    const bool written = host_.disk.write({row}).has_value();
    const bool early = host_.mistake == Mistake::acknowledge_early;
    if (early) world_.after(1us, lifeline_, [done, written] { done(written); });
    world_.after(world_.between(500us, 20ms), lifeline_, [this, done, written, early] {
        const bool synced = written && host_.disk.sync().has_value();
        if (!early) done(synced);
    });
}

void Daemon::erase_record(const migrate::Record& record) {
    const storage::EraseMigration erase{record.id, std::string(migrate::name_of(record.role))};
    if (!host_.disk.write({erase})) {
        // As a daemon would: again, until the disk is well.
        world_.after(1s, lifeline_, [this, record] { erase_record(record); });
        return;
    }
    world_.after(world_.between(500us, 20ms), lifeline_, [this, record] {
        if (!host_.disk.sync()) erase_record(record);
    });
}

bool Daemon::set_phase(migrate::DomainJobs& jobs, migrate::Phase phase) {
    if (const auto set = jobs.set_phase(phase); !set) {
        cluster_.violations.push_back(set.error().message);
        return false;
    }
    return true;
}

void Daemon::accept(std::shared_ptr<Connection> connection, bool peer_link) {
    if (peer_link) {
        accept_peer(connection);
        return;
    }
    connections_[connection->id()] = connection;
    const std::weak_ptr<const int> weak = lifeline_;
    connection->attach(1, {[this, weak, connection](const Message& message) {
                               if (weak.lock() && !dead_) on_call(connection, message);
                           },
                           [this, weak, connection] {
                               if (weak.lock() && !dead_) on_closed(connection);
                           }});
}

void Daemon::on_closed(const std::shared_ptr<Connection>& connection) {
    connections_.erase(connection->id());
    const auto same = [&](const std::shared_ptr<Connection>& other) {
        return other && other->id() == connection->id();
    };
    for (auto& [name, source] : sources_) {
        if (same(source->client)) feed(*source, {migrate::SourceEvent::client_closed});
    }
    for (auto& [name, destination] : destinations_) {
        if (same(destination->client)) {
            feed(*destination, {migrate::DestinationEvent::client_closed});
        }
    }
}

void Daemon::answer(const Caller& caller, std::optional<Error> error, Bytes cookie,
                    std::string address) {
    if (!caller.connection) return;
    Message message = caller.call;
    message.reply = true;
    message.error = std::move(error);
    message.cookie = std::move(cookie);
    message.address = std::move(address);
    caller.connection->send(1, std::move(message));
}

void Daemon::on_call(const std::shared_ptr<Connection>& connection, const Message& message) {
    const Caller caller{connection, message};
    switch (message.call) {
        case Call::begin: begin(caller); break;
        case Call::prepare: prepare(caller); break;
        case Call::perform: perform(caller); break;
        case Call::finish: finish(caller); break;
        case Call::confirm: confirm(caller); break;
        case Call::abort: abort(caller); break;
        case Call::none: break;
    }
}

migrate::CookieExpectation Daemon::expectation(migrate::CookieStep step, int domain) const {
    return {step, domain_name(domain), domain_uuid(domain), host_.uuid};
}

migrate::Cookie Daemon::own_cookie(int domain) const {
    migrate::Cookie cookie;
    cookie.name = domain_name(domain);
    cookie.uuid = domain_uuid(domain);
    cookie.hostname = host_.name();
    cookie.host_uuid = host_.uuid;
    cookie.capabilities.emplace();
    return cookie;
}

// The QEMU of this host that is the domain: not one that only waits for it, nor one that is ending.
FakeQemu* Daemon::active(int domain) {
    for (const auto& [name, qemu] : cluster_.machines.all()) {
        if (qemu.host != host_.number || qemu.domain != domain || !qemu.alive) continue;
        const auto arriving = destinations_.find(name);
        if (arriving != destinations_.end() && !arriving->second->machine.arrived()) continue;
        const auto leaving = sources_.find(name);
        if (leaving != sources_.end() &&
            leaving->second->machine.record().right == migrate::Right::taken) {
            continue;
        }
        return cluster_.machines.find(name);
    }
    return nullptr;
}

Daemon::Source* Daemon::source_of(int domain) {
    for (auto& [name, source] : sources_) {
        if (source->domain == domain && !source->machine.ended()) return source.get();
    }
    return nullptr;
}

Daemon::Destination* Daemon::destination_of(int domain) {
    using State = migrate::DestinationState;
    for (auto& [name, destination] : destinations_) {
        const State state = destination->machine.state();
        const bool over = destination->machine.arrived() || state == State::promised ||
                          state == State::silent || destination->over;
        if (destination->domain == domain && !over) return destination.get();
    }
    return nullptr;
}

bool Daemon::resolve(int domain, bool runs_here) {
    Source* source = source_of(domain);
    if (source == nullptr || !source->machine.unresolved()) return false;
    feed(*source,
         {runs_here ? migrate::SourceEvent::resolve_here : migrate::SourceEvent::resolve_there});
    return true;
}

bool Daemon::suspend(const std::string& incarnation) {
    FakeQemu* qemu = cluster_.machines.find(incarnation);
    if (dead_ || qemu == nullptr || !qemu->running) return false;
    const auto moving = sources_.find(incarnation);
    if (moving != sources_.end()) {
        migrate::DomainJobs& jobs = moving->second->jobs;
        if (!jobs.begin_call(migrate::CallKind::suspend, "suspend")) return false;
        jobs.end_call(migrate::CallKind::suspend);
    }
    cluster_.machines.suspend(*qemu);
    if (moving != sources_.end()) feed(*moving->second, {migrate::SourceEvent::guest_suspended});
    return true;
}

bool Daemon::unresolved(int domain) const {
    for (const auto& [name, source] : sources_) {
        if (source->domain == domain && source->machine.unresolved()) return true;
    }
    return false;
}

std::size_t Daemon::machines_at_work() const {
    std::size_t count = sources_.size();
    for (const auto& [name, destination] : destinations_) {
        const auto state = destination->machine.state();
        const bool kept = state == migrate::DestinationState::running ||
                          state == migrate::DestinationState::promised;
        if (!kept) ++count;
    }
    return count;
}

std::size_t Daemon::jobs() const {
    std::size_t count = 0;
    for (const auto& [name, source] : sources_)
        count += source->jobs.idle() ? 0 : 1;
    for (const auto& [name, each] : destinations_)
        count += each->jobs.idle() ? 0 : 1;
    return count;
}

}  // namespace segue::sim
