// SPDX-License-Identifier: LGPL-2.1-or-later
// <controller>: what disks, USB devices, serial channels and smartcards plug into.
#pragma once

#include "domain/address.h"

namespace segue {

enum class ControllerType { pci, usb, ide, fdc, sata, virtio_serial, ccid };

struct Controller : Device {
    ControllerType type = ControllerType::pci;
    std::uint32_t index = 0;
    // "pci-root"; "piix3-uhci", "ich9-ehci1", "qemu-xhci", "none", …; empty where there is one
    // kind.
    std::string model;
    std::optional<std::uint32_t> ports;       // virtio-serial, qemu-xhci, nec-xhci
    std::optional<std::uint32_t> vectors;     // virtio-serial
    std::optional<std::uint32_t> start_port;  // <master startport=''> of USB 2 companions

    // ich9-ehci1 and its companions ich9-uhci1 to 3 share one slot.
    bool is_usb2() const { return type == ControllerType::usb && model.starts_with("ich9-"); }
};

std::string_view name_of(ControllerType type);

// USB ports that devices can be plugged into (companions bring none).
std::uint32_t usb_ports_of(const Controller& controller);

Result<Controller> parse_controller(XmlCursor& from);
XmlElement format_controller(const Controller& controller, const FormatOptions& options);

}  // namespace segue
