// SPDX-License-Identifier: LGPL-2.1-or-later
// What --persistent leaves on the destination for the next start. It is found good, or the
// migration fails, before the guest is taken: the source undefines the domain behind that.
#pragma once

#include "daemon/answer.h"
#include "daemon/domain_object.h"
#include "daemon/services.h"
#include "migrate/options.h"

namespace segue {

// On the source: a user's XML for it must be of this domain. Error config_unsupported, in libvirt's
// words, or what is wrong with the XML.
Result<> check_persistent_xml(const DomainObject& domain, const migrate::MigrateOptions& options);

// On the destination: the definition that is to be kept, complete, as the store has it. `text` is
// what the source sent; empty: the guest is kept as it runs, or as it is defined. Errors: another
// domain's, one that this host does not allow or cannot complete.
void decide_definition(const Services& services, const DomainPointer& domain, std::string text,
                       const std::optional<Domain>& offline, Answer<std::string> answer);

}  // namespace segue
