// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include "domain/domain.h"

namespace segue {

// May a guest that runs on `source` go on running on `target`? Only what the guest sees counts:
// names of files, passwords, ports and back ends may differ. Both are complete. The error is
// config_unsupported with libvirt's words for the first difference.
Result<> check_abi(const Domain& source, const Domain& target);

}  // namespace segue
