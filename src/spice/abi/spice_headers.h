// SPDX-License-Identifier: LGPL-2.1-or-later
// The public C headers of spice-server, for this room only. SPICE_SERVER_INTERNAL: we implement
// what they call deprecated, too. Their functions are the only symbols that leave the library.
#pragma once

#define SPICE_SERVER_INTERNAL
#pragma GCC visibility push(default)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#include <spice.h>
#pragma GCC diagnostic pop
#pragma GCC visibility pop
