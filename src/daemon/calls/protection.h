// SPDX-License-Identifier: LGPL-2.1-or-later
// Protection as the rest of the daemon sees it.
#pragma once

#include "daemon/answer.h"
#include "daemon/domain_object.h"
#include "daemon/services.h"

namespace segue {

// "protection" of `segue status`.
Json protection_json(const DomainObject& domain);
// False: no command of ours.
bool protection_command(const Services& services, const std::string& name, const Json& arguments,
                        const Answer<Json>& answer);
// A standby is not started: it is promoted.
Result<> may_start(const DomainObject& domain);
// After the domains of the last run were taken over.
void restore_protections(const Services& services);

}  // namespace segue
