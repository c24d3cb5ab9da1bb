// SPDX-License-Identifier: LGPL-2.1-or-later
// A ticket of the guest's screen that a client has changed at run time, over the monitor and so
// past the definition.
#pragma once

#include "base/json.h"
#include "domain/domain.h"

namespace segue {

// QEMU has accepted this command (`now`: seconds since the epoch). Where it was set_password or
// expire_password, the live definition has the ticket from now on, too: QEMU tells it to nobody,
// and the host that the guest goes to must know it. Returns whether it has changed.
bool note_ticket(Domain& live, std::string_view command, const Json& arguments, std::int64_t now);
// The same for a line of the human monitor.
bool note_ticket(Domain& live, std::string_view line, std::int64_t now);

}  // namespace segue
