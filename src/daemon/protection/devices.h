// SPDX-License-Identifier: LGPL-2.1-or-later
// Which devices of a domain take part in its protection. Both hosts number them in the order of the
// definition, from 0; the sockets, the links and QEMU's objects of each carry that number.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "domain/domain.h"

namespace segue {

// Places in the definition of the disks that the guest may write.
std::vector<std::size_t> writable_disks(const Domain& model);

// Whether every card's frames can be held on the standby's host: there is one, and each is an
// Ethernet-over-UDP peer. One that is not must be held where it is.
bool can_gate_at_standby(const Domain& model);
// Whether a second guest of this definition can run beside the next one on the standby's host, and
// its frames be compared there. Errors name what stands in the way.
Result<> check_hybrid_devices(const Domain& model, bool gate_at_primary);

// Whether its agent, a port, or a device on a client's side is on a SPICE channel: what it says
// there cannot be taken back.
bool speaks_to_clients(const Domain& model);

// Errors (limit_exceeded) name what there is too much of.
Result<> check_protected_devices(const Domain& model);

// "disk.sock", "disk1.sock", and so on: what segue-agent and segue-standby call them.
std::string numbered_socket(std::string_view name, std::size_t number);

// Agent and standby speak one version of their link. 0: of a release that did not say.
Error other_version(std::string_view host, std::uint64_t theirs);

}  // namespace segue
