// SPDX-License-Identifier: LGPL-2.1-or-later
// Disks that a domain and its standby both see (`segue protect --shared-storage`): proof that they
// are the same files, and that QEMU's lock of them reaches from one host to the other. These wait
// for file servers: on a thread.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace segue {

// At the primary's host, whose QEMU has them open: an array of {"path", "inode"}.
Result<Json> describe_images(const std::vector<std::string>& paths);

// At the standby's: an error where one is another file here, or shows no lock.
Result<> check_same_images(const Json& described);

}  // namespace segue
