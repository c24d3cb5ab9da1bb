// SPDX-License-Identifier: LGPL-2.1-or-later
// The procedures that are about the connection itself: the same for every daemon.
#pragma once

#include "rpc/dispatcher.h"

namespace segue::rpc {

void add_connection_calls(Dispatcher& calls);

}  // namespace segue::rpc
