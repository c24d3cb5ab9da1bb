// SPDX-License-Identifier: LGPL-2.1-or-later
// Domains that start with the host.
#pragma once

#include "daemon/services.h"

namespace segue {

// Starts each domain that is marked for it and does not run, one after the other: once for each
// boot of the host, so that a restart of the daemon brings back nothing that a user has ended.
// Failures are logged; the others start all the same.
void autostart_domains(const Services& services);

}  // namespace segue
