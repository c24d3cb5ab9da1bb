// SPDX-License-Identifier: LGPL-2.1-or-later
// What a domain's network cards need of the host: a tap device for each that is on a bridge, or on
// a device of the host.
#pragma once

#include <map>
#include <string>

#include "domain/domain.h"
#include "net/tap.h"

namespace segue {

// By the card's alias. The names of the devices are written into `live`.
using Taps = std::map<std::string, net::Tap>;
Result<Taps> open_taps(Domain& live);

}  // namespace segue
