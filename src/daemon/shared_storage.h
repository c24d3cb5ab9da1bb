// SPDX-License-Identifier: LGPL-2.1-or-later
// Is what a guest writes to also there on another host?
#pragma once

#include "daemon/file_facts.h"
#include "domain/domain.h"

namespace segue {

// Error 81 for the first writable disk that lies on a file system of this host alone. A disk whose
// file system cannot be told is taken for local. `facts`: of disk_files_of() the domain.
Result<> check_shared_storage(const Domain& domain, const FactsOfFiles& facts);

}  // namespace segue
