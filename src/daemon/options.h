// SPDX-License-Identifier: LGPL-2.1-or-later
// segued's command line, over the configuration. CLI11 stays behind this header.
#pragma once

#include <optional>

#include "daemon/settings.h"

namespace segue {

struct DaemonOptions {
    Settings settings;
    std::string config_file;
    bool check_config = false;
};

// What main() does next: serve with the options, or exit with the code (help, a usage error).
struct ParsedOptions {
    std::optional<DaemonOptions> options;
    int exit_code = 0;
};

// Prints help and errors itself: help on stdout, errors on stderr.
ParsedOptions parse_options(int argc, const char* const* argv);

}  // namespace segue
