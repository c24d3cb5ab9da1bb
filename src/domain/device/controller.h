// SPDX-License-Identifier: LGPL-2.1-or-later
// <controller>: what disks, USB devices, serial channels and smartcards plug into.
#pragma once

#include "domain/address.h"

namespace segue {

enum class ControllerType { pci, usb, ide, fdc, sata, virtio_serial, ccid, scsi };

struct Controller : Device {
    ControllerType type = ControllerType::pci;
    std::uint32_t index = 0;  // kNoIndex only while a definition is read
    // "pci-root", "pcie-root-port"; "piix3-uhci", "qemu-xhci", "none"; "lsilogic", "virtio-scsi";
    // …; empty where there is one kind.
    std::string model;
    std::optional<std::uint32_t> ports;       // virtio-serial, qemu-xhci, nec-xhci
    std::optional<std::uint32_t> vectors;     // virtio-serial
    std::optional<std::uint32_t> start_port;  // <master startport=''> of USB 2 companions
    // PCI bridges and ports: QEMU's name of the device, and what the guest sees of its slot.
    std::string model_name;
    std::optional<std::uint32_t> chassis_number;  // pci-bridge
    std::optional<std::uint32_t> chassis, port;   // pcie-root-port
    std::optional<bool> hotplug;                  // of what is behind it

    // ich9-ehci1 and its companions ich9-uhci1 to 3 share one slot.
    bool is_usb2() const { return type == ControllerType::usb && model.starts_with("ich9-"); }
};

std::string_view name_of(ControllerType type);

inline constexpr std::uint32_t kNoIndex = ~0U;
// Gives those without an index the lowest one that is free for their type; a USB 2 controller that
// follows its fellows gets theirs (virDomainAssignControllerIndexes). Error config_unsupported: two
// of a type have the same one.
Result<> assign_indexes(std::vector<Controller>& controllers);

// As libvirt sends them: those of a type by their index, a USB 2 controller before its companions.
std::vector<Controller> in_order(std::vector<Controller> controllers);

// USB ports that devices can be plugged into (companions bring none).
std::uint32_t usb_ports_of(const Controller& controller);

Result<Controller> parse_controller(XmlCursor& from);
XmlElement format_controller(const Controller& controller, const FormatOptions& options);

}  // namespace segue
