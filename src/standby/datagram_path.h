// SPDX-License-Identifier: LGPL-2.1-or-later
// A datagram socket at a path, for a QEMU whose NIC is `-netdev dgram`.
#pragma once

#include <string>

#include "net/descriptor.h"

namespace segue::standby {

// Bound at the path (what was there before is gone), mode 0600, with a queue for `waiting`
// datagrams where this process may set it (CAP_SYS_ADMIN). Elsewhere it is the kernel's default of
// ten (net.unix.max_dgram_qlen), which a receiver that has no turn for a tenth of a second lets
// fill up: QEMU then drops the frame that waits for room each time its VM is stopped.
Result<net::Descriptor> bind_datagrams(const std::string& path, int waiting);

}  // namespace segue::standby
