// SPDX-License-Identifier: LGPL-2.1-or-later
// Where a device sits, as libvirt's <address> says it; and what every device has besides.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "domain/xml_cursor.h"

namespace segue {

struct PciAddress {
    std::uint16_t domain = 0;
    std::uint8_t bus = 0, slot = 0, function = 0;
    std::optional<bool> multifunction = {};
    friend bool operator==(const PciAddress&, const PciAddress&) = default;
    // "0000:00:05.0", as libvirt's error messages have it.
    std::string text() const;
};
struct DriveAddress {
    std::uint32_t controller = 0, bus = 0, target = 0, unit = 0;
    friend bool operator==(const DriveAddress&, const DriveAddress&) = default;
};
struct VirtioSerialAddress {
    std::uint32_t controller = 0, bus = 0, port = 0;
    friend bool operator==(const VirtioSerialAddress&, const VirtioSerialAddress&) = default;
};
struct UsbAddress {
    std::uint32_t bus = 0;
    std::string port;  // "1" or, behind a hub, "1.2"
    friend bool operator==(const UsbAddress&, const UsbAddress&) = default;
};
struct CcidAddress {
    std::uint32_t controller = 0, slot = 0;
    friend bool operator==(const CcidAddress&, const CcidAddress&) = default;
};

using DeviceAddress = std::variant<std::monostate, PciAddress, DriveAddress, VirtioSerialAddress,
                                   UsbAddress, CcidAddress>;

// How a definition is written.
struct FormatOptions {
    // Passwords and their validity (VIR_DOMAIN_XML_SECURE).
    bool secure = false;
    // The stored definition: no aliases, nothing of the running process (VIR_DOMAIN_XML_INACTIVE).
    bool inactive = true;
    // What goes to a destination host, also an old one: implicit devices are left out
    // (VIR_DOMAIN_XML_MIGRATABLE; implies inactive and secure in libvirt's protocol).
    bool migratable = false;
    // The processor as QEMU really runs it, where that is known, not as it was asked for.
    bool running_cpu = false;
};

struct Device {
    // Given by the daemon at start; a user's own begins with "ua-".
    std::string alias;
    DeviceAddress address;
    std::optional<std::uint32_t> boot_order;
    // What the definition says beyond what we know: kept and written out again.
    XmlElement unknown;

    bool has_address() const { return !std::holds_alternative<std::monostate>(address); }
};

// Reads <address>, <alias> and <boot order=''>, and then keeps what is left over: called last.
Result<> parse_device(XmlCursor& from, Device& to);
// Writes <boot>, <alias> and <address>, and then what was unknown: called last.
void format_device(const Device& device, XmlElement& to, const FormatOptions& options);

// A MAC address as libvirt writes it; lower case, colons.
Result<std::string> parse_mac(std::string_view text);

}  // namespace segue
