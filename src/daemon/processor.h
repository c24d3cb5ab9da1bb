// SPDX-License-Identifier: LGPL-2.1-or-later
// The guest's processor: decided before its QEMU starts, and asked of that QEMU when it is there.
#pragma once

#include "daemon/answer.h"
#include "daemon/domain_object.h"
#include "qemu/probe.h"

namespace segue {

// The definition with a processor that leaves nothing open: host-model and what else depends on the
// host become a named model and its features. At once where nothing does.
void decide_processor(EmulatorProbe& emulators, Domain model, Answer<Domain> answer);

// Asks the QEMU that has started what its guest sees: for the live definition, and for migrations.
// Errors: check_nothing_missing. A QEMU that does not say leaves both unknown, with a warning,
// unless the definition wants it checked; a guest that leaves meanwhile is asked nothing more, and
// nothing is noted. `emulators` outlives the answer.
void learn_processor(EmulatorProbe& emulators, const DomainPointer& domain, Answer<> answer);

// Prepare: the guest that comes would see another processor here than on its source. `source` is
// what our daemons tell (format_guest_cpu), `spelled_out` the <cpu> of another libvirt's cookie.
Result<> check_processor(const DomainObject& domain, const std::string& source,
                         const std::string& spelled_out);

}  // namespace segue
