// SPDX-License-Identifier: LGPL-2.1-or-later
// Whether the files that a domain names are there, before QEMU says so in its own words.
#pragma once

#include "base/result.h"
#include "daemon/file_facts.h"
#include "domain/domain.h"

namespace segue {

// Error system (38), as libvirt's, naming the first disk, kernel or initrd that cannot be read.
// Devices and files on shared storage count alike; whether QEMU's own user may open them is for
// QEMU to find out.
Result<> check_storage_access(const Domain& domain, const FactsOfFiles& facts);
// The files of that.
std::vector<std::string> files_of(const Domain& domain);
// Those of its disks.
std::vector<std::string> disk_files_of(const Domain& domain);

}  // namespace segue
