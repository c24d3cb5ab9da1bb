// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sim/run.h"

#include <algorithm>

namespace segue::sim {
namespace {

constexpr Duration kFaultTime = 4s;   // faults strike within this time
constexpr Duration kHealed = 60s;     // from here on everything works
constexpr Duration kSettled = 200s;   // and by now everything is decided that can be
constexpr Duration kResolved = 220s;  // what was left to the operator, too

class Run {
  public:
    explicit Run(const RunOptions& options);
    RunResult go();

  private:
    void make_hosts();
    void move(int domain, int moves_left);
    void watch(const Client& client, int domain, int moves_left);
    void plan_faults();
    void strike(Fault fault);
    void cancel(const Order& order);
    void crash_daemon(int host);
    void heal();
    void until(Duration end);
    void check_always();
    void let_the_operator_resolve();
    void check_at_the_end();
    void check_domain(int domain);
    void violation(std::string what);
    int home_of(int domain) const;
    FakeQemu* any_qemu(bool incoming);

    RunOptions options_;
    World world_;
    Cluster cluster_;
    const Scenario* scenario_;
    RunResult result_;
    int domains_ = 1;
    int faults_ = 0;
    SimLoop loop_{world_};
    std::vector<std::shared_ptr<RemoteDaemon>> cancellers_;
    std::vector<std::unique_ptr<Client>> clients_;
    std::vector<bool> qemu_died_;
    std::vector<bool> suspended_;
};

Run::Run(const RunOptions& options)
    : options_(options), world_(options.seed), cluster_(world_), scenario_(options.scenario) {
    world_.set_verbose(options.verbose);
    if (scenario_ == nullptr) scenario_ = &scenarios()[world_.random().below(scenarios().size())];
    result_.scenario = scenario_->name;
}

void Run::violation(std::string what) {
    world_.trace("VIOLATION: {}", what);
    result_.violations.push_back(std::move(what));
}

void Run::make_hosts() {
    const int count = 2 + static_cast<int>(world_.random().below(4));
    for (int number = 0; number < count; ++number) {
        auto host = std::make_unique<Host>();
        host->number = number;
        host->uuid.bytes[15] = static_cast<std::uint8_t>(number + 1);
        host->stock = (scenario_->stock == Stock::source && number == 0) ||
                      (scenario_->stock == Stock::destination && number != 0);
        host->mistake = options_.mistake;
        cluster_.hosts.push_back(std::move(host));
    }
    domains_ = 1 + static_cast<int>(world_.random().below(2));
    qemu_died_.resize(static_cast<std::size_t>(domains_));
    suspended_.resize(static_cast<std::size_t>(domains_));
    for (int domain = 0; domain < domains_; ++domain) {
        FakeQemu& qemu = cluster_.machines.start(0, domain, "home." + domain_name(domain), false);
        cluster_.machines.resume(qemu);
    }
    for (const auto& host : cluster_.hosts)
        cluster_.restart(*host);
}

int Run::home_of(int domain) const {
    for (const auto& [name, qemu] : cluster_.machines.all()) {
        if (qemu.domain == domain && qemu.alive && qemu.running) return qemu.host;
    }
    return -1;
}

// Starts a migration of the domain from where it runs; when its client is done, the next one.
void Run::move(int domain, int moves_left) {
    const int from = home_of(domain);
    if (moves_left == 0 || from < 0) return;
    Order order;
    order.domain = domain;
    order.from = from;
    const auto hosts = static_cast<std::uint64_t>(cluster_.hosts.size());
    order.to = static_cast<int>(
        (static_cast<std::uint64_t>(from) + 1 + world_.random().below(hosts - 1)) % hosts);
    order.protocol = scenario_->protocol != 0 ? scenario_->protocol : world_.chance(65) ? 3 : 2;
    order.peer_to_peer =
        scenario_->peer_to_peer >= 0 ? scenario_->peer_to_peer == 1 : world_.chance(40);
    const int number = -1 - static_cast<int>(clients_.size());
    clients_.push_back(std::make_unique<Client>(cluster_, number, order));
    Client& client = *clients_.back();
    client.start();
    watch(client, domain, moves_left);
}

// Looks now and then whether the client is done, as a script would.
void Run::watch(const Client& client, int domain, int moves_left) {
    if (!client.done() && !client.dead()) {
        world_.after(50ms,
                     [this, &client, domain, moves_left] { watch(client, domain, moves_left); });
        return;
    }
    world_.after(world_.between(1us, 800ms),
                 [this, domain, moves_left] { move(domain, moves_left - 1); });
}

void Run::plan_faults() {
    if (scenario_->faults == 0) return;
    faults_ = static_cast<int>(
        world_.random().below(static_cast<std::uint64_t>(scenario_->most_faults) + 1));
    for (int count = 0; count < faults_; ++count) {
        Fault fault{};
        do {
            fault = static_cast<Fault>(world_.random().below(kFaults));
        } while ((scenario_->faults >> static_cast<int>(fault) & 1) == 0);
        world_.after(world_.between(0ns, kFaultTime), [this, fault] { strike(fault); });
    }
}

FakeQemu* Run::any_qemu(bool incoming) {
    std::vector<std::string> names;
    for (const auto& [name, qemu] : cluster_.machines.all()) {
        const bool arriving = qemu.incoming && !qemu.ever_ran;
        if (qemu.alive && arriving == incoming) names.push_back(name);
    }
    if (names.empty()) return nullptr;
    return cluster_.machines.find(names[world_.random().below(names.size())]);
}

// Now, or just before one of the next things it does.
void Run::crash_daemon(int number) {
    Host& host = *cluster_.hosts[static_cast<std::size_t>(number)];
    if (!host.daemon) return;
    if (world_.chance(50)) {
        cluster_.crash(host);
    } else {
        host.actions_to_live = 1 + static_cast<int>(world_.random().below(12));
    }
    world_.after(world_.between(10ms, 9s), [this, &host] {
        if (host.actions_to_live > 0) cluster_.crash(host);
        cluster_.restart(host);
    });
}

void Run::strike(Fault fault) {
    world_.trace("fault: {}", name_of(fault));
    Client* client = nullptr;
    for (const auto& each : clients_) {
        if (!each->done() && !each->dead() && (client == nullptr || world_.chance(50))) {
            client = each.get();
        }
    }
    const auto hosts = static_cast<std::uint64_t>(cluster_.hosts.size());
    switch (fault) {
        case Fault::client_dies:
            if (client != nullptr) client->die();
            return;
        case Fault::cancel:
            if (client != nullptr) cancel(client->order());
            return;
        case Fault::source_daemon_dies:
            return crash_daemon(client != nullptr ? client->order().from : 0);
        case Fault::destination_daemon_dies:
            return crash_daemon(client != nullptr ? client->order().to : 1);
        case Fault::source_qemu_dies:
        case Fault::destination_qemu_dies:
            if (FakeQemu* qemu = any_qemu(fault == Fault::destination_qemu_dies)) {
                qemu_died_[static_cast<std::size_t>(qemu->domain)] = true;
                cluster_.machines.crash(*qemu);
            }
            return;
        case Fault::cut:
            if (auto connection = cluster_.network.any_open()) connection->cut();
            return;
        case Fault::partition: {
            const int one = static_cast<int>(world_.random().below(hosts));
            int other = static_cast<int>(world_.random().below(hosts));
            if (one == other)
                other = client != nullptr ? -1 - static_cast<int>(clients_.size()) + 1 : -1;
            return cluster_.network.partition(one, other, world_.between(1ms, 15s));
        }
        case Fault::disk_full: {
            Host& host = *cluster_.hosts[world_.random().below(hosts)];
            host.disk.set_broken(true);
            world_.after(world_.between(1ms, 5s), [&host] { host.disk.set_broken(false); });
            return;
        }
        case Fault::suspend:
            if (FakeQemu* qemu = any_qemu(false)) {
                Daemon* daemon = cluster_.hosts[static_cast<std::size_t>(qemu->host)]->daemon.get();
                if (daemon != nullptr && daemon->suspend(qemu->incarnation)) {
                    suspended_[static_cast<std::size_t>(qemu->domain)] = true;
                }
            }
            return;
    }
}

// Another client's `domjobabort`.
void Run::cancel(const Order& order) {
    auto made = RemoteDaemon::connect(cluster_, loop_, -1000, order.from);
    if (!made) return;
    Request request;
    request.call = Call::abort;
    request.domain = order.domain;
    const std::shared_ptr<RemoteDaemon> daemon = std::move(made);
    const std::weak_ptr<RemoteDaemon> weak = daemon;
    cancellers_.push_back(daemon);
    daemon->open([weak, request](const Result<>& opened) {
        const auto open = weak.lock();
        if (open && opened) open->call(request, [](const Outcome&) {});
    });
}

void Run::heal() {
    for (const auto& host : cluster_.hosts) {
        host->disk.set_broken(false);
        if (host->actions_to_live > 0) cluster_.crash(*host);
        cluster_.restart(*host);
    }
    for (const auto& client : clients_)
        client->die();
}

void Run::until(Duration end) {
    while (world_.step({end}))
        check_always();
}

void Run::check_always() {
    for (int domain = 0; domain < domains_; ++domain) {
        const int copies = cluster_.machines.running_copies(domain);
        if (copies > 1 && result_.violations.empty()) {
            violation(fmt::format("{} copies of {} run", copies, domain_name(domain)));
        }
    }
    if (cluster_.machines.went_back_in_time() && result_.violations.empty()) {
        violation("a guest went on from a state older than one that had run");
    }
}

// The operator looks where the guest is, and types what the daemon's log told him to.
void Run::let_the_operator_resolve() {
    for (int domain = 0; domain < domains_; ++domain) {
        for (const auto& host : cluster_.hosts) {
            if (!host->daemon->unresolved(domain)) continue;
            ++result_.unresolved;
            if (host->reports == 0) violation("unresolved, but nobody was told");
            bool there = false;
            std::uint64_t ticks_here = 0;
            for (const auto& [name, qemu] : cluster_.machines.all()) {
                if (qemu.domain == domain && qemu.host == host->number && qemu.alive) {
                    ticks_here = std::max(ticks_here, qemu.ticks);
                }
            }
            for (const auto& other : cluster_.hosts) {
                if (other != host) there = there || other->daemon->holds(domain);
            }
            for (const auto& [name, qemu] : cluster_.machines.all()) {
                if (qemu.domain != domain || qemu.host == host->number || !qemu.ever_ran) continue;
                there = there || qemu.running || qemu.ticks > ticks_here;
            }
            world_.trace("operator: {} runs {}", domain_name(domain), there ? "there" : "here");
            host->daemon->resolve(domain, !there);
        }
    }
    for (const auto& host : cluster_.hosts)
        host->daemon->resume_what_was_left_paused();
}

void Run::check_domain(int domain) {
    const auto at = static_cast<std::size_t>(domain);
    const int copies = cluster_.machines.running_copies(domain);
    int alive = 0;
    for (const auto& [name, qemu] : cluster_.machines.all()) {
        if (qemu.domain == domain && qemu.alive) ++alive;
    }
    if (copies == 0 && !qemu_died_[at] && !suspended_[at]) {
        violation(fmt::format("{} runs nowhere", domain_name(domain)));
    }
    if (alive == 0 && !qemu_died_[at]) {
        violation(fmt::format("{} is lost", domain_name(domain)));
    }
    if (alive > 1) violation(fmt::format("{} has {} QEMUs", domain_name(domain), alive));
}

void Run::check_at_the_end() {
    for (int domain = 0; domain < domains_; ++domain)
        check_domain(domain);
    for (const auto& host : cluster_.hosts) {
        if (host->daemon->jobs() != 0) violation(host->name() + " still has a job");
        if (host->daemon->machines_at_work() != 0) {
            violation(host->name() + " still works on a migration");
        }
        const auto records = host->disk.migrations().value();
        for (const storage::MigrationRecord& record : records) {
            const bool promise =
                record.role == "destination" && (record.right == "refused" || record.settled);
            if (!promise || (faults_ == 0 && !cluster_.link_was_late)) {
                violation(fmt::format("{} still has a record: {} {} {}", host->name(), record.role,
                                      record.phase, record.right));
            }
        }
    }
    for (const auto& client : clients_) {
        ++result_.migrations;
        if (client->done() && !client->outcome()) ++result_.succeeded;
    }
    for (const std::string& what : cluster_.violations)
        violation(what);
}

RunResult Run::go() {
    make_hosts();
    for (int domain = 0; domain < domains_; ++domain) {
        const int moves = 1 + static_cast<int>(world_.random().below(
                                  static_cast<std::uint64_t>(scenario_->most_moves)));
        world_.after(world_.between(0ns, 20ms), [this, domain, moves] { move(domain, moves); });
    }
    plan_faults();
    until(kHealed);
    for (const auto& client : clients_) {
        if (!client->done() && !client->dead()) violation("a client waits for ever");
    }
    heal();
    until(kSettled);
    let_the_operator_resolve();
    until(kResolved);
    check_at_the_end();
    result_.digest = world_.digest();
    return result_;
}

}  // namespace

RunResult run_once(const RunOptions& options) {
    return Run(options).go();
}

}  // namespace segue::sim
