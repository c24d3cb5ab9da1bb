// SPDX-License-Identifier: LGPL-2.1-or-later
// Each checkpoint stops the guest, and QEMU flushes every disk when a guest stops. What is written
// under protection is durable at the standby, so that the local images need not be: their nodes
// skip flushes meanwhile (cache.no-flush). Whoever ends a protection undoes it. Images that are
// served by somebody else (a promoted guest's) are left as they are.
#pragma once

#include "daemon/protection/qemu_steps.h"
#include "daemon/services.h"

namespace segue {

// Steps that never fail: with a QEMU that refuses, each pause contains its flush.
void skip_flushes(Steps& steps, const DomainPointer& domain);
void keep_flushes(Steps& steps, const DomainPointer& domain);

// Brings what such a node has not flushed to the disk, on a thread of its own. QEMU would not: it
// counts the flushes that were skipped.
void sync_image(const Services& services, const std::string& path);

}  // namespace segue
