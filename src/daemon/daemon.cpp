// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/daemon.h"

#include <grp.h>
#include <netdb.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "base/log.h"
#include "daemon/autostart.h"
#include "daemon/calls/calls.h"
#include "daemon/certificates.h"
#include "daemon/conduct/destination.h"
#include "daemon/descriptor_limit.h"
#include "daemon/life.h"
#include "daemon/process_facts.h"
#include "daemon/recovery.h"
#include "daemon/state_directory.h"

namespace segue {
namespace {

// libvirt's clients ask for "qemu:///system"; "qemu:///session" is a user's own daemon.
Result<> judge_name(const std::optional<std::string>& name) {
    if (!name || name->empty() || *name == "qemu:///system" || name->starts_with("qemu:///system?"))
        return {};
    return fail(ErrorCode::invalid_argument, "'{}' is not served here: connect to qemu:///system",
                *name);
}

// The port of the last run: promises of old migrations name it.
std::uint16_t last_port(const std::string& path) {
    std::ifstream file(path);
    unsigned port = 0;
    file >> port;
    return port <= 65535 ? static_cast<std::uint16_t>(port) : 0;
}

// A name's first numeric address; the listener itself asks no name server.
std::string numeric_address(const std::string& name) {
    if (name.empty()) return "0.0.0.0";
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (::getaddrinfo(name.c_str(), nullptr, &hints, &found) != 0) return name;
    char text[NI_MAXHOST] = {};
    ::getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST);
    ::freeaddrinfo(found);
    return text;
}

// Where an activated socket listens. TCP is TLS where its unit says so (FileDescriptorName=tls), or
// where the configuration names the same address so.
Result<net::Address> address_of(const ActivatedSocket& one, const Settings& settings) {
    const auto local = net::SocketAddress::local_of(one.socket.get());
    if (local.family() == AF_UNIX) return net::Address::of_unix(local.text());
    const auto tls = TRY(net::Address::parse("tls:" + local.text()));
    const bool named = std::count(settings.listen.begin(), settings.listen.end(), tls) != 0;
    return named || one.name == "tls" ? tls : net::Address::of_tcp(tls.host, tls.port);
}

}  // namespace

Daemon::Daemon(RunLoop& loop, Settings settings, std::vector<ActivatedSocket> activated)
    : loop_(loop),
      settings_(std::move(settings)),
      activated_(std::move(activated)),
      resolver_(loop),
      migration_ports_(settings_.migrate_ports),
      spice_ports_(settings_.spice_ports),
      events_(calls_),
      peer_door_(loop, settings_),
      peer_errands_(loop, resolver_, settings_),
      started_at_(loop.now()) {}

Daemon::~Daemon() = default;

void Daemon::start(Answer<> started) {
    if (const auto ready = prepare(); !ready) return started(ready);
    add_calls();
    // Asked while nobody waits: the first domain then finds the answer.
    emulators_->ask(kDefaultEmulator, [](const Result<EmulatorCapabilities>& known) {
        if (!known) log_warning("daemon", "{}", known.error().message);
    });
    // Clients come in when every guest is where it belongs.
    recover(*services_, [this, started](Result<> recovered) {
        peer_door_.let_in();
        const auto served = recovered.and_then([this] { return serve_metrics(); }).and_then([this] {
            return listen();
        });
        started(served);
        if (served) autostart_domains(*services_);
    });
}

Result<> Daemon::prepare() {
    TRY(check_descriptor_limit(raise_descriptor_limit()));
    TRY(open_state());
    TRY(open_peer_door());
    logs_ = std::make_unique<LogKeeper>(loop_, settings_.state);
    emulators_ = std::make_unique<EmulatorProbe>(loop_, settings_.state);
    witness_ = std::make_unique<Witness>(loop_, *store_, migration_ports_, peer_door_, identity_);
    workers_ = std::make_unique<Workers>(loop_);
    files_ = std::make_unique<FileAsker>(loop_, *workers_);
    self_tests_ = std::make_unique<SelfTests>();
    services_ = std::make_unique<Services>(
        Services{loop_,         random_,          settings_,    identity_,   *store_,
                 events_,       migration_ports_, spice_ports_, resolver_,   metrics_,
                 event_log_,    *domains_,        peer_door_,   *emulators_, *migration_records_,
                 peer_errands_, *witness_,        *workers_,    *files_,     *self_tests_});
    metrics_.measure_with([this] { measure(); });
    promises_ = std::make_unique<PromiseKeeper>(
        loop_, *store_, [this](const migrate::Record& record) { return forget_promise(record); });
    return {};
}

bool Daemon::forget_promise(const migrate::Record& record) {
    const auto found = peer_door_.conducts().find(record.id);
    if (found != peer_door_.conducts().end()) {
        if (!found->second->is_idle_promise()) return false;
        peer_door_.remove(record.id);
    }
    migration_records_->forget(record);
    return true;
}

void Daemon::add_calls() {
    add_connection_calls(calls_, *services_);
    add_list_calls(calls_, *services_);
    add_define_calls(calls_, *services_);
    add_device_calls(calls_, *services_);
    add_life_calls(calls_, *services_);
    add_query_calls(calls_, *services_);
    add_metadata_calls(calls_, *services_);
    add_statistics_calls(calls_, *services_);
    add_all_statistics_calls(calls_, *services_);
    add_job_calls(calls_, *services_);
    add_migrate_calls(calls_, *services_);
    add_tunnel_calls(calls_, *services_);
    add_stream_calls(calls_, *services_);
    add_monitor_calls(calls_, *services_);
    add_extension_calls(calls_, *services_);
    add_neighbour_calls(calls_);
}

Result<> Daemon::open_state() {
    TRY(make_state_directory(settings_.state));
    identity_ =
        TRY(read_host_identity(settings_.hostname, settings_.host_uuid, settings_.state, random_));
    store_ = TRY(storage::open_sqlite_store(settings_.state));
    domains_ = std::make_unique<DomainList>(*store_);
    migration_records_ = std::make_unique<MigrationRecords>(loop_, *store_);
    return {};
}

Result<> Daemon::open_peer_door() {
    const std::string kept = settings_.state + "/peer-port";
    TRY(peer_door_.open(numeric_address(settings_.migrate_address), last_port(kept)));
    std::ofstream(kept, std::ios::trunc) << peer_door_.port() << '\n';
    return {};
}

Result<> Daemon::listen() {
    rpc::ServerOptions options;
    options.max_connections = connections_within(raise_descriptor_limit());
    options.session.has_feature = [this](std::int32_t feature) {
        return has_feature(settings_, feature);
    };
    options.session.open = judge_name;
    server_ = std::make_unique<rpc::Server>(loop_, calls_, options);
    std::vector<net::Address> wanted = settings_.listen;
    for (ActivatedSocket& one : activated_) {
        const net::Address address = TRY(address_of(one, settings_));
        std::erase(wanted, address);
        TRY(listen_at(address, std::move(one.socket)));
    }
    activated_.clear();
    for (const net::Address& address : wanted)
        TRY(listen_at(address, {}));
    return {};
}

Result<> Daemon::listen_at(const net::Address& address, net::Descriptor socket) {
    rpc::ListenPoint point;
    point.address = address;
    point.socket = std::move(socket);
    point.options = local_sockets();
    if (address.transport == net::Transport::tls)
        point.tls = TRY(tls_context(settings_, net::TlsSide::server));
    TRY(server_->listen(std::move(point)));
    log_info("daemon", "listening on {}", address.text());
    const bool local = address.transport == net::Transport::unix_socket;
    return local && settings_.read_only_sockets ? listen_read_only(address) : Result<>();
}

// Owned by the group that may use them, where there is one.
net::ListenOptions Daemon::local_sockets() const {
    net::ListenOptions options;
    if (::getgrnam(settings_.socket_group.c_str()) != nullptr) {
        options.group = settings_.socket_group;
    }
    return options;
}

// As libvirt has libvirt-sock-ro beside libvirt-sock: whoever is on this host may look.
Result<> Daemon::listen_read_only(const net::Address& address) {
    rpc::ListenPoint point;
    point.address = net::Address::of_unix(address.path + "-ro");
    point.options.mode = 0666;
    point.read_only = true;
    TRY(server_->listen(std::move(point)));
    log_info("daemon", "listening on {}-ro, for looking only", address.text());
    return {};
}

Result<> Daemon::reload(Settings wanted) {
    std::shared_ptr<net::TlsContext> tls;
    if (server_ && server_->serves_tls()) tls = TRY(tls_context(wanted, net::TlsSide::server));
    const auto waiting = take_reloaded(settings_, std::move(wanted));
    migration_ports_.set_range(settings_.migrate_ports);
    spice_ports_.set_range(settings_.spice_ports);
    if (tls) server_->set_tls(tls);
    for (const std::string& key : waiting)
        log_warning("daemon", "{} has changed: restart segued to use it", key);
    log_info("daemon", "the configuration was read again");
    return {};
}

Result<> Daemon::serve_metrics() {
    if (settings_.metrics_socket.empty()) return {};
    metrics_server_ = TRY(MetricsServer::make(loop_, settings_.metrics_socket, local_sockets(),
                                              [this] { return metrics_.text(); }));
    return {};
}

void Daemon::measure() {
    double active = 0;
    double jobs = 0;
    for (const auto& entry : domains_->all()) {
        active += entry.second->is_active() ? 1 : 0;
        jobs += entry.second->source || entry.second->destination ? 1 : 0;
    }
    metrics_.gauge("segue_domains", "Domains that this host knows") =
        static_cast<double>(domains_->all().size());
    metrics_.gauge("segue_domains_active", "Domains that run here") = active;
    metrics_.gauge("segue_migrations_active", "Migrations that are under way here") = jobs;
    metrics_.gauge("segue_connections", "Clients that are connected") =
        static_cast<double>(server_ ? server_->connections() : 0);
    metrics_.gauge("segue_promises", "Migrations whose outcome is kept for their source") =
        static_cast<double>(peer_door_.conducts().size());
    metrics_.gauge("segue_resident_bytes", "Memory of this daemon") =
        static_cast<double>(facts_of(::getpid()).resident_kib) * 1024;
    metrics_.gauge("segue_uptime_seconds", "Since this daemon started") =
        std::chrono::duration<double>(loop_.now() - started_at_).count();
}

void Daemon::stop() {
    if (server_) server_->stop();
    server_.reset();
    metrics_server_.reset();
}

}  // namespace segue
