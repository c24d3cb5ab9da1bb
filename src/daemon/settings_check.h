// SPDX-License-Identifier: LGPL-2.1-or-later
// What is wrong with settings that are well written: values that contradict each other or the host.
#pragma once

#include <string>
#include <vector>

#include "daemon/settings.h"

namespace segue {

// One line for each complaint, naming the key, the value and the remedy; empty where all is good.
// Looks at files and users of this host; opens no socket and asks no name server.
std::vector<std::string> check_settings(const Settings& settings);

}  // namespace segue
