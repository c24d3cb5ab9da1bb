// SPDX-License-Identifier: LGPL-2.1-or-later
// <interface>: a network card. Back ends: user, QEMU's sockets (mcast, client, server, udp), a
// bridge of the host, and a tap device of the host (ethernet). The others are refused by name.
#pragma once

#include "domain/address.h"

namespace segue {

enum class InterfaceType { user, multicast, client, server, udp, bridge, ethernet };

struct Interface : Device {
    InterfaceType type = InterfaceType::user;
    std::string mac;    // given at define where the definition has none
    std::string model;  // "virtio", "e1000", "rtl8139", …
    std::optional<bool> link_up;
    std::string source_address, local_address;
    std::uint16_t source_port = 0, local_port = 0;
    std::string bridge;  // of type bridge
    // The tap device: the definition's, else the one that was made at start.
    std::string device;
    std::optional<bool> managed;  // false: somebody else makes the device

    bool needs_tap() const {
        return type == InterfaceType::bridge || type == InterfaceType::ethernet;
    }
    bool is_socket() const { return type != InterfaceType::user && !needs_tap(); }
    // No name, or one that was made for a run, and is no part of the definition.
    bool has_generated_name() const {
        return managed != false && (device.empty() || device.starts_with("vnet"));
    }
};

std::string_view name_of(InterfaceType type);

Result<Interface> parse_interface(XmlCursor& from);
XmlElement format_interface(const Interface& interface, const FormatOptions& options);

}  // namespace segue
