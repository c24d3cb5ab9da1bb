// SPDX-License-Identifier: LGPL-2.1-or-later
// A tap device: a network card's other end on this host. It goes when its last descriptor is
// closed.
#pragma once

#include <array>
#include <string>

#include "base/result.h"
#include "net/descriptor.h"

namespace segue::net {

struct TapRequest {
    // The device's name; empty: the kernel's choice of vnet0, vnet1, ….
    std::string name = {};
    // Somebody else made and configured it: it must exist, and is only opened.
    bool is_given = false;
    // The bridge that it becomes a port of; empty: none.
    std::string bridge = {};
    // The card's address. The tap gets one of its own from it: with the same one, the kernel would
    // take the guest's frames for its own.
    std::array<std::uint8_t, 6> card_address{};
    // Frames are led by a virtio header (virtio cards).
    bool has_virtio_header = false;
};

struct Tap {
    std::string name;
    Descriptor descriptor;
};

// Makes the device, puts it up and on its bridge. Errors: system (with the name of what failed),
// config_unsupported (a name that no device can have, a bridge that does not exist).
Result<Tap> open_tap(const TapRequest& request);

// Can a network device have this name? 1 to 15 bytes without '/', ':' and spaces.
bool is_device_name(std::string_view name);

}  // namespace segue::net
