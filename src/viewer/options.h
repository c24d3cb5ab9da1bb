// SPDX-License-Identifier: LGPL-2.1-or-later
// The command line of `segue-view`: its own options and remote-viewer's.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "spice/client/settings.h"
#include "spice/wire/agent.schema.h"
#include "viewer/device_choice.h"
#include "viewer/hotkeys.h"
#include "viewer/key_remap.h"

namespace segue::viewer {

struct Options {
    spice::client::Settings settings;
    bool headless = false;
    std::string events_file;  // "-" is standard output
    std::string frames_folder;
    std::string screenshot_file;
    std::optional<double> seconds;
    bool takes_commands = false;
    DeviceChoice devices;
    // Window only.
    std::string title;
    bool fullscreen = false;
    int zoom_percent = 100;
    Hotkeys hotkeys;
    KeyRemap key_remap;
    std::uint32_t keypress_delay_ms = 0;  // a press waits so long for its release
    bool may_grab = true;                 // keyboard and pointer
    bool kiosk = false;                   // full screen for ever
    bool kiosk_quits = false;             // when disconnected
    bool resizes_guest = true;            // to the size of its windows
    bool local_cursor = false;            // the user's own pointer in place of the guest's
    bool shows_hidden_cursor = false;
    std::optional<spice::wire::agent::DisplayConfig> display_config;
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

// Names of channels, separated by ',', ';', ':' or a space; main cannot be left out. Errors:
// invalid_argument names what is no channel.
Result<> apply_disabled_channels(std::string_view list, spice::client::Settings& settings);

// "all" or names of channels, separated by ',' or ';'. Errors: invalid_argument names the unknown.
Result<> apply_secure_channels(std::string_view list, spice::client::Settings& settings);

}  // namespace segue::viewer
