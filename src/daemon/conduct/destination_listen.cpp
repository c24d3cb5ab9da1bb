// SPDX-License-Identifier: LGPL-2.1-or-later
// The incoming QEMU: started, and told where the guest's state comes from: a port of its own, or a
// tunnel in the connection between the daemons.
#include "daemon/conduct/destination.h"
#include "daemon/conduct/transfer_out.h"
#include "daemon/domain_list.h"
#include "daemon/guest.h"
#include "daemon/life.h"
#include "daemon/peer_door.h"
#include "daemon/processor.h"
#include "daemon/storage_access.h"
#include "daemon/tunnel.h"

namespace segue {

void DestinationConduct::start_incoming() {
    const auto domain = domain_.lock();
    if (!domain || !model_) return incoming_failed({ErrorCode::internal, "the domain is gone"});
    const auto port = take_port();
    if (!port) return incoming_failed(port.error());
    port_ = *port;
    Domain model = std::move(*model_);
    model_.reset();
    // Both are waited for here, and not first in start_guest(): the job may end meanwhile.
    services_.files.ask(files_of(model), [this, self = shared_from_this(), domain,
                                          model](const FactsOfFiles& facts) {
        if (job_over_) return;
        const auto there = check_storage_access(model, facts);
        if (!there) return incoming_failed(there.error());
        services_.domains.when_ports_are_left(model, [this, self, domain, model] {
            if (!job_over_) decide_incoming(domain, model);
        });
    });
}

void DestinationConduct::decide_incoming(const DomainPointer& domain, Domain model) {
    decide_processor(services_.emulators, std::move(model),
                     [this, self = shared_from_this(), domain](Result<Domain> decided) {
                         if (!decided) return incoming_failed(decided.error());
                         // Given up meanwhile: nobody would end this QEMU.
                         if (!job_over_) launch_incoming(domain, std::move(*decided));
                     });
}

void DestinationConduct::launch_incoming(const DomainPointer& domain, Domain model) {
    start_guest(services_, domain, std::move(model), StartMode::incoming,
                machine().record().incarnation,
                [this, self = shared_from_this()](Result<> started) {
                    if (!started) return incoming_failed(started.error());
                    if (const auto same = check_cpu(); !same) return incoming_failed(same.error());
                    listen();
                });
}

// Before anything moves: the guest goes on here on the CPU that it has.
Result<> DestinationConduct::check_cpu() const {
    const auto domain = domain_.lock();
    if (!domain || !request_.cookie) return {};
    return check_processor(*domain, request_.cookie->guest_cpu_xml, request_.cookie->cpu_xml);
}

// Where QEMU is to listen; 0 where nobody connects to it.
Result<std::uint16_t> DestinationConduct::take_port() {
    if (request_.options.has(migrate::kTunnelled)) return 0;
    if (!request_.options.migrate_uri.empty()) {
        const auto uri = TRY(migrate::parse_migrate_uri(request_.options.migrate_uri));
        if (uri.port != 0) return uri.port;
    } else {
        TRY(check_leads_here(migration_host()));
    }
    return services_.migration_ports.take(services_.peer_door.address());
}

void DestinationConduct::listen() {
    const auto domain = domain_.lock();
    const auto guest = domain ? domain->running_guest() : fail(ErrorCode::internal, "gone");
    if (!guest) return incoming_failed(guest.error());
    if (request_.options.has(migrate::kTunnelled)) return open_tunnel(**guest);
    const std::string& given = request_.options.listen_address;
    const std::string address = given.empty() ? services_.peer_door.address() : given;
    const bool six = address.find(':') != std::string::npos;
    listen_at(**guest,
              fmt::format("tcp:{}{}{}:{}", six ? "[" : "", address, six ? "]" : "", port_));
}

void DestinationConduct::open_tunnel(Guest& guest) {
    tunnel_ = std::make_shared<TunnelIn>(services_.loop);
    auto pipe = tunnel_->open();
    if (!pipe) return incoming_failed(pipe.error());
    guest.pass_descriptor(kTunnelName, std::move(*pipe),
                          [this, self = shared_from_this(), &guest](Result<> passed) {
                              if (!passed) return incoming_failed(passed.error());
                              listen_at(guest, fmt::format("fd:{}", kTunnelName));
                          });
}

void DestinationConduct::listen_at(Guest& guest, const std::string& uri) {
    const auto step = [&guest](const char* command, Json arguments) -> Step {
        return [&guest, command, arguments = std::move(arguments)](Answer<> done) {
            guest.run(command, arguments, std::move(done));
        };
    };
    std::vector<Step> steps =
        tls_steps(guest, request_.options, services_.settings.tls_directory, true);
    steps.push_back(step("migrate-set-capabilities",
                         migration_capabilities(request_.options, MigrationEnd::destination)));
    steps.push_back(step("migrate-set-parameters", incoming_parameters(request_.options)));
    steps.push_back(step("migrate-incoming", Json::object({{"uri", uri}})));
    run_steps(std::move(steps), [this, self = shared_from_this()](Result<> listening) {
        if (!listening) return incoming_failed(listening.error());
        feed(Event::incoming_ready);
    });
}

void DestinationConduct::incoming_failed(const Error& error) {
    feed({.event = Event::incoming_failed, .cause = error});
}

// Where the source's QEMU connects. Offline nobody does, and clients want a URI all the same.
std::string DestinationConduct::migration_host() const {
    return what_leads_to(services_.settings.migrate_address, services_.identity);
}

std::string DestinationConduct::incoming_uri() const {
    if (request_.options.has(migrate::kTunnelled)) return {};
    std::string host = migration_host();
    if (!request_.options.migrate_uri.empty()) {
        if (const auto uri = migrate::parse_migrate_uri(request_.options.migrate_uri)) {
            host = uri->host;
        }
    }
    const bool six = host.find(':') != std::string::npos;
    return fmt::format("tcp:{}{}{}:{}", six ? "[" : "", host, six ? "]" : "", port_);
}

}  // namespace segue
