// SPDX-License-Identifier: LGPL-2.1-or-later
// The names devices have in QEMU and in live XML: libvirt's, because migration streams, events and
// tools know them (qemu_alias.c).
#pragma once

#include "domain/domain.h"

namespace segue {

// Of a complete domain. A user's own alias ("ua-…") stays.
void assign_aliases(Domain& domain);

// What a complete definition becomes when it is started as number `id`: aliases, and memory in
// whole MiB, as QEMU is given it.
void prepare_to_run(Domain& domain, std::int32_t id);

// The model of the SCSI controller that a disk at this address sits on.
std::string_view scsi_controller_of(const Domain& domain, const DriveAddress& address);

// Nodes of a disk's block graph: "libvirt-3-storage", "libvirt-3-format". Disks count down, as
// libvirt numbers them.
std::string storage_node(const Domain& domain, std::size_t disk_index);
std::string format_node(const Domain& domain, std::size_t disk_index);

}  // namespace segue
