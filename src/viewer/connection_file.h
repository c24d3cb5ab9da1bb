// SPDX-License-Identifier: LGPL-2.1-or-later
// .vv files (application/x-virt-viewer): an INI file with a group [virt-viewer].
#pragma once

#include <map>
#include <string>

#include "spice/client/settings.h"

namespace segue::viewer {

struct ConnectionFile {
    std::string title;
    bool fullscreen = false;
    std::map<std::string, std::string> hotkeys;  // action and keys in remote-viewer's notation
    std::string disabled_effects;                // "wallpaper;font-smooth;animation", or "all"
    std::string color_depth;
    bool enables_smartcard = false;
    bool enables_usb = true;
    bool shares_plugged_usb = false;
    std::string usb_filter;
};

// At most this much of a file is read.
inline constexpr std::size_t kMaxConnectionFile = 1 << 20;

// Whether this text of a file says so (delete-this-file), whatever else is wrong with it.
bool wants_to_be_deleted(std::string_view text);

// Unknown keys are ignored, since Proxmox and oVirt add their own. Errors: invalid_argument for a
// missing type, another type than spice, or a value that cannot be read.
Result<ConnectionFile> apply_connection_file(std::string_view text,
                                             spice::client::Settings& settings);

}  // namespace segue::viewer
