// SPDX-License-Identifier: LGPL-2.1-or-later
// Telling the world what a domain does: libvirt's events to clients, one line in the log and in the
// event log.
#pragma once

#include "daemon/domain_object.h"
#include "daemon/services.h"
#include "qemu/qmp.h"

namespace segue {

void set_status(const Services& services, DomainObject& domain, const DomainStatus& status);
void publish(const Services& services, const DomainObject& domain, const Lifecycle& what);
void publish_reboot(const Services& services, const DomainObject& domain);
void publish_job_completed(const Services& services, const DomainObject& domain,
                           const FinishedJob& job);
void publish_iteration(const Services& services, const DomainObject& domain,
                       std::int32_t iteration);
void publish_metadata_change(const Services& services, const DomainObject& domain,
                             std::int32_t type, const std::optional<std::string>& uri);
// SPICE_CONNECTED, SPICE_INITIALIZED, SPICE_DISCONNECTED and VNC's.
void publish_graphics(const Services& services, const DomainObject& domain, const QmpEvent& event);

}  // namespace segue
