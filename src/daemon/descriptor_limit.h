// SPDX-License-Identifier: LGPL-2.1-or-later
// How many descriptors this process may have, and how many of them clients may take.
#pragma once

#include <cstddef>

#include "base/result.h"

namespace segue {

// Raises the soft limit of the process to its hard limit. Returns the limit that holds now.
std::size_t raise_descriptor_limit();

// Error limit_exceeded where the daemon could not work with so few.
Result<> check_descriptor_limit(std::size_t descriptors);

// Connections that leave a quarter of the descriptors, and at least 64, to VMs and files: a crowd
// of clients must not keep the daemon from its own work.
std::size_t connections_within(std::size_t descriptors);

}  // namespace segue
