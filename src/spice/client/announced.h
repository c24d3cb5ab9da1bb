// SPDX-License-Identifier: LGPL-2.1-or-later
// Where a server says that its machine is, or will be: a target, or a standby.
#pragma once

#include "spice/client/settings.h"
#include "spice/wire/main.schema.h"

namespace segue::spice::client {

// Where a session can be opened.
struct Candidate {
    Endpoint endpoint;
    Trust trust;
};

// The announced host, or the one of the settings in its place. Security there: the same authority;
// the announced subject if there is one, else the host's name. A pinned key stays pinned.
Candidate announced_by(const wire::main::Destination& to, const Settings& settings);

}  // namespace segue::spice::client
