// SPDX-License-Identifier: LGPL-2.1-or-later
// What QEMU's devices have to tell, as libvirt's events: errors of disks, trays, the clock, the
// balloon, watchdogs, the guest agent.
#pragma once

#include "daemon/domain_object.h"
#include "daemon/services.h"
#include "qemu/qmp.h"

namespace segue {

// An event of another kind is passed over. What it changes in the domain itself (its balloon's
// size, whether its agent is there) is noted in the running domain; its state is left alone.
void publish_device_event(const Services& services, DomainObject& domain, const QmpEvent& event);

}  // namespace segue
