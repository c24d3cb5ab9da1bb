// SPDX-License-Identifier: LGPL-2.1-or-later
// <interface>: a network card. Back ends that need nothing of the host: user, and QEMU's sockets
// (mcast, client, server, udp). Those that need a bridge or tap are refused by name.
#pragma once

#include "domain/address.h"

namespace segue {

enum class InterfaceType { user, multicast, client, server, udp };

struct Interface : Device {
    InterfaceType type = InterfaceType::user;
    std::string mac;    // given at define where the definition has none
    std::string model;  // "virtio", "e1000", "rtl8139", …
    std::optional<bool> link_up;
    std::string source_address, local_address;
    std::uint16_t source_port = 0, local_port = 0;
};

std::string_view name_of(InterfaceType type);

Result<Interface> parse_interface(XmlCursor& from);
XmlElement format_interface(const Interface& interface, const FormatOptions& options);

}  // namespace segue
