// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string_view>

#include "base/json.h"

namespace segue {

// The "stats" of the disk with this alias in what query-blockstats said, or null: devices are named
// there by their path in QEMU's tree ("/machine/peripheral/virtio-disk0/virtio-backend").
const Json* disk_statistics(const Json& query_blockstats_reply, std::string_view alias);

}  // namespace segue
