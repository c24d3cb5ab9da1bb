// SPDX-License-Identifier: LGPL-2.1-or-later
// The first thing a daemon does: what the last one left in the store becomes domains, adopted
// QEMUs, and migrations that go on where their records say.
#pragma once

#include "daemon/answer.h"
#include "daemon/services.h"

namespace segue {

// `done` comes once, when every guest that was adopted has said how it is, or did not in time.
void recover(const Services& services, Answer<> done);

}  // namespace segue
