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
    : cluster_(cluster),
      world_(cluster.world),
      host_(host),
      server_(std::make_unique<rpc::Server>(loop_, calls_, rpc::ServerOptions{})) {
    serve_version3();
    serve_version2();
}

// Its sockets close with it; its QEMUs live on.
Daemon::~Daemon() {
    lifeline_.reset();
    server_.reset();
    for (auto& [id, connection] : connections_)
        connection->close(1);
    for (auto& [name, source] : sources_) {
        if (source->peer) source->peer->close(0);
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
    std::vector<migrate::Record> records;
    const auto rows = host_.disk.migrations().value();
    for (const storage::MigrationRecord& row : rows) {
        auto record = migrate::from_row(row);
        if (record) {
            records.push_back(std::move(*record));
        } else {
            cluster_.violations.push_back("a record cannot be read: " + record.error().message);
        }
    }
    migrate::settle_arrivals(records);
    for (const migrate::Record& record : records)
        recover(record);
}

void Daemon::recover(const migrate::Record& record) {
    const bool alive = cluster_.machines.find(record.incarnation) != nullptr;
    const int domain = record.domain.bytes[15];
    const auto start_job = [&](migrate::AsyncKind kind) {
        if (const auto started = jobs_of(domain).start(kind, "recovery", world_.now()); !started) {
            cluster_.violations.push_back("two records want a job: " + started.error().message);
        }
    };
    if (record.role == migrate::Role::source) {
        if (sources_.contains(record.incarnation)) {
            cluster_.violations.push_back("two source records of " + record.incarnation);
        }
        auto made = std::make_unique<Source>(domain, record.incarnation,
                                             migrate::SourceMachine::restored(record, alive));
        Source& source = *(sources_[record.incarnation] = std::move(made));
        start_job(migrate::AsyncKind::migration_out);
        return feed(source, {migrate::SourceEvent::restarted});
    }
    auto made = std::make_unique<Destination>(domain, record.incarnation,
                                              migrate::DestinationMachine::restored(record, alive));
    Destination& destination = *(destinations_[record.incarnation] = std::move(made));
    destination.job_over = record.right == migrate::Right::refused || record.settled;
    if (!destination.job_over) start_job(migrate::AsyncKind::migration_in);
    feed(destination, {migrate::DestinationEvent::restarted});
}

migrate::DomainJobs& Daemon::jobs_of(int domain) {
    return jobs_.try_emplace(domain, domain_name(domain)).first->second;
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
    const bool written = ledger_.write(row).has_value();
    const bool early = host_.mistake == Mistake::acknowledge_early;
    if (early) world_.after(1us, lifeline_, [done, written] { done(written); });
    world_.after(world_.between(500us, 20ms), lifeline_, [this, done, written, early] {
        const bool synced = written && host_.disk.sync().has_value();
        if (!early) done(synced);
    });
}

void Daemon::erase_record(const migrate::Record& record) {
    static_cast<void>(ledger_.erase({record.id, std::string(migrate::name_of(record.role))}));
    settle_records();
}

// As the daemon does: again, until the disk is well.
void Daemon::settle_records() {
    if (!ledger_.settle()) {
        world_.after(1s, lifeline_, [this] { settle_records(); });
        return;
    }
    world_.after(world_.between(500us, 20ms), lifeline_, [this] {
        if (!host_.disk.sync()) settle_records();
    });
}

bool Daemon::set_phase(migrate::DomainJobs& jobs, migrate::Phase phase) {
    if (const auto set = jobs.set_phase(phase); !set) {
        cluster_.violations.push_back(set.error().message);
        return false;
    }
    return true;
}

void Daemon::on_closed(const rpc::Session& session) {
    const auto same = [&](const std::weak_ptr<rpc::Session>& other) {
        return other.lock().get() == &session;
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
        const bool over =
            destination->machine.arrived() || state == State::promised || destination->over;
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
        migrate::DomainJobs& jobs = jobs_of(qemu->domain);
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

void Daemon::resume_what_was_left_paused() {
    for (const std::string& incarnation : host_.left_paused) {
        if (FakeQemu* qemu = cluster_.machines.find(incarnation)) cluster_.machines.resume(*qemu);
    }
    host_.left_paused.clear();
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
    for (const auto& [domain, jobs] : jobs_)
        count += jobs.idle() ? 0 : 1;
    return count;
}

}  // namespace segue::sim
