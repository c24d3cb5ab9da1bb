// SPDX-License-Identifier: LGPL-2.1-or-later
// The command line of `segue-view`: its own options and remote-viewer's.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "spice/client/settings.h"

namespace segue::viewer {

struct Options {
    spice::client::Settings settings;
    bool headless = false;
    std::string events_file;  // "-" is standard output
    std::string frames_folder;
    std::string screenshot_file;
    std::optional<double> seconds;
    // Window only.
    std::string title;
    bool fullscreen = false;
    int zoom_percent = 100;
    std::string release_cursor;
    std::string toggle_fullscreen;
    bool verbose = false;
};

// What parsing a command line leads to: options, or text for the user and an exit code.
struct CommandLine {
    std::optional<Options> options;
    std::string message;
    int exit_code = 0;
};

// Reads the connection file if one is named, and the environment (SEGUE_VIEW_PASSWORD).
CommandLine parse_command_line(int argument_count, const char* const* arguments);

// "all" or names of channels, separated by ',' or ';'. Errors: invalid_argument names the unknown.
Result<> apply_secure_channels(std::string_view list, spice::client::Settings& settings);

}  // namespace segue::viewer
