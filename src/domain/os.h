// SPDX-License-Identifier: LGPL-2.1-or-later
// <os>: machine type and what it boots.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "domain/xml_cursor.h"

namespace segue {

struct BootMenu {
    bool enable = false;
    std::optional<std::uint32_t> timeout_ms;
};

struct OperatingSystem {
    std::string arch = "x86_64";
    std::string machine = "pc";  // as the definition says; completion makes it a versioned name
    std::string kernel, initrd, command_line;
    std::vector<std::string> boot;  // hd, cdrom, network, fd
    std::optional<BootMenu> menu;
    XmlElement unknown;

    // The Express machine; else it is an i440fx one.
    bool is_q35() const { return machine.starts_with("pc-q35-"); }
};

Result<OperatingSystem> parse_os(XmlCursor& from);
XmlElement format_os(const OperatingSystem& os);

}  // namespace segue
