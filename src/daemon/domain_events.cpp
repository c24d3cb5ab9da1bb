// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/domain_events.h"

#include "base/log.h"
#include "daemon/domain_list.h"
#include "daemon/job_statistics.h"
#include "rpc/event.schema.h"

namespace segue {
namespace {

// virDomainEventID.
constexpr std::int32_t kLifecycle = 0;
constexpr std::int32_t kReboot = 1;
constexpr std::int32_t kGraphics = 5;
constexpr std::int32_t kMigrationIteration = 20;
constexpr std::int32_t kJobCompleted = 21;
constexpr std::int32_t kMetadataChange = 23;

rpc::event::GraphicsAddress address_of(const Json& end) {
    rpc::event::GraphicsAddress address;
    address.family = end.text("family") == "ipv6" ? 1 : end.text("family") == "unix" ? 2 : 0;
    address.node = end.text("host");
    address.service = end.text("port", end.text("service"));
    return address;
}

}  // namespace

void set_status(const Services& services, DomainObject& domain, const DomainStatus& status) {
    if (domain.incarnation) domain.incarnation->status_before.reset();
    if (domain.status == status) return;
    domain.status = status;
    domain.status_since_ms = services.wall_ms();
    services.domains.note_status(domain);
    log_info("daemon", "domain '{}' is {}", domain.name, text_of(status));
}

void publish(const Services& services, const DomainObject& domain, const Lifecycle& what) {
    services.event_log.add(services.wall_ms(), "lifecycle", domain.name, what.name);
    services.events.publish<rpc::event::DomainEventLifecycle>(
        kLifecycle,
        {.callback = 0, .domain = domain.ref(), .event = what.event, .detail = what.detail});
}

void publish_reboot(const Services& services, const DomainObject& domain) {
    services.event_log.add(services.wall_ms(), "lifecycle", domain.name, "rebooted");
    services.events.publish<rpc::event::DomainEventReboot>(kReboot,
                                                           {.callback = 0, .domain = domain.ref()});
}

void publish_metadata_change(const Services& services, const DomainObject& domain,
                             std::int32_t type, const std::optional<std::string>& uri) {
    services.events.publish<rpc::event::DomainEventMetadataChange>(
        kMetadataChange, {.callback = 0, .domain = domain.ref(), .type = type, .uri = uri});
}

void publish_job_completed(const Services& services, const DomainObject& domain,
                           const FinishedJob& job) {
    services.events.publish<rpc::event::DomainEventJobCompleted>(
        kJobCompleted,
        {.callback = 0, .domain = domain.ref(), .parameters = job_parameters(view_of(job))});
}

void publish_iteration(const Services& services, const DomainObject& domain,
                       std::int32_t iteration) {
    services.events.publish<rpc::event::DomainEventMigrationIteration>(
        kMigrationIteration, {.callback = 0, .domain = domain.ref(), .value = iteration});
}

void publish_graphics(const Services& services, const DomainObject& domain, const QmpEvent& event) {
    if (!services.events.is_wanted(kGraphics, domain.uuid)) return;
    rpc::event::GraphicsEvent body;
    body.domain = domain.ref();
    body.phase = event.name.ends_with("_CONNECTED")     ? 0
                 : event.name.ends_with("_INITIALIZED") ? 1
                                                        : 2;
    body.local = address_of(event.data["server"]);
    body.remote = address_of(event.data["client"]);
    body.scheme = event.data["server"].text("auth");
    services.events.publish<rpc::event::DomainEventGraphics>(kGraphics, std::move(body));
}

}  // namespace segue
