// SPDX-License-Identifier: LGPL-2.1-or-later
// From the primary's QEMU command line to the one of the promoted VM: what names the primary's own
// sockets and life goes, memory becomes the standby's image, network and disk point at the standby.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace segue::standby {

// Where the standby's own ends are.
struct Places {
    std::string operator_qmp;  // for whoever runs the VM afterwards
    std::string own_qmp;       // for the standby
    // Datagram sockets: the VM's, and the gate's that it sends to. None: networks are left alone.
    struct Network {
        std::string vm, gate;
    };
    std::vector<Network> networks;
    std::vector<std::string> disks;  // NBD; none: disks are left alone
    // The VM keeps what it writes to memory to itself: the image stays what it is.
    bool keeps_image = false;
    // The image file of a RAM block.
    std::function<std::string(std::string_view block)> image_path;
    // The guest starts anew: memory of its own, and no stream.
    bool is_cold = false;
};

// The path of an NBD server that stands for this disk of the standby; another path, or none, for
// the first.
std::string disk_placeholder(std::size_t number);

struct SharedBlock {
    std::string name;  // as the stream names it
    std::uint64_t bytes = 0;
    friend bool operator==(const SharedBlock&, const SharedBlock&) = default;
};

struct VmCommand {
    std::vector<std::string> words;
    std::vector<std::string> notes;   // what was changed, for the log
    std::vector<SharedBlock> shared;  // blocks that the VM maps from their images
    bool is_cold = false;
};

// Errors: invalid_argument, config_unsupported; they name the option.
Result<VmCommand> promoted_command(const std::vector<std::string>& primary, const Places& places);

// "256", "256M", "1G", "size=1G,…": bytes. A number alone counts in units of `suffix`: 'M' for -m,
// 'B' for -object.
std::optional<std::uint64_t> memory_size(std::string_view text, char suffix = 'M');

}  // namespace segue::standby
