// SPDX-License-Identifier: LGPL-2.1-or-later
#include "domain/alias.h"

namespace segue {
namespace {

void name(Device& device, std::string alias) {
    if (!device.alias.starts_with("ua-")) device.alias = std::move(alias);
}

std::string alias_of(const Disk& disk, const Domain& domain) {
    if (!disk.has_drive_address()) {
        return fmt::format("{}-disk{}", name_of(disk.bus), disk.target_index());
    }
    const auto* address = std::get_if<DriveAddress>(&disk.address);
    const DriveAddress at = address ? *address : DriveAddress();
    if (disk.bus == DiskBus::scsi && scsi_controller_of(domain, at) != "lsilogic") {
        return fmt::format("scsi{}-{}-{}-{}", at.controller, at.bus, at.target, at.unit);
    }
    return fmt::format("{}{}-{}-{}", name_of(disk.bus), at.controller, at.bus, at.unit);
}

std::string alias_of(const Controller& controller, const Domain& domain) {
    switch (controller.type) {
        case ControllerType::pci:
            // The names that QEMU gives its roots itself.
            return fmt::format("{}.{}", controller.model == "pcie-root" ? "pcie" : "pci",
                               controller.index);
        case ControllerType::usb:
            if (controller.index == 0) return "usb";
            return fmt::format("usb{}", controller.index);
        case ControllerType::ide:
            if (controller.index == 0) return "ide";
            return fmt::format("ide{}", controller.index);
        case ControllerType::sata:
            // Part of the chipset, and QEMU's name of it.
            if (controller.index == 0 && domain.os.is_q35()) return "ide";
            break;
        case ControllerType::fdc:
        case ControllerType::scsi:
        case ControllerType::virtio_serial:
        case ControllerType::ccid: break;
    }
    return fmt::format("{}{}", name_of(controller.type), controller.index);
}

template <class T>
void number(std::vector<T>& devices, std::string_view prefix) {
    for (std::size_t index = 0; index < devices.size(); ++index)
        name(devices[index], fmt::format("{}{}", prefix, index));
}

}  // namespace

void assign_aliases(Domain& domain) {
    for (Disk& disk : domain.disks)
        name(disk, alias_of(disk, domain));
    for (Controller& controller : domain.controllers)
        name(controller, alias_of(controller, domain));
    number(domain.interfaces, "net");
    number(domain.smartcards, "smartcard");
    number(domain.serials, "serial");
    number(domain.channels, "channel");
    number(domain.inputs, "input");
    number(domain.sounds, "sound");
    number(domain.videos, "video");
    number(domain.redirected, "redir");
    number(domain.hubs, "hub");
    number(domain.rngs, "rng");
    if (domain.balloon && domain.balloon->present) name(*domain.balloon, "balloon0");
    number(domain.consoles, "console");
    for (Console& console : domain.consoles) {
        const bool is_view = !console.is_virtio() && !domain.serials.empty();
        if (is_view) console.alias = domain.serials.front().alias;
    }
}

std::string_view scsi_controller_of(const Domain& domain, const DriveAddress& address) {
    for (const Controller& controller : domain.controllers) {
        const bool same = controller.index == address.controller;
        if (controller.type == ControllerType::scsi && same) return controller.model;
    }
    return "lsilogic";
}

void prepare_to_run(Domain& domain, std::int32_t id) {
    constexpr std::uint64_t kMib = 1024;
    domain.id = id;
    domain.memory_kib = (domain.memory_kib + kMib - 1) / kMib * kMib;
    domain.current_memory_kib = (domain.current_memory_kib + kMib - 1) / kMib * kMib;
    for (Disk& disk : domain.disks) {
        // Two hosts write: neither may cache.
        if (disk.shareable && !disk.cache) disk.cache = "none";
    }
    assign_aliases(domain);
}

std::string storage_node(const Domain& domain, std::size_t disk_index) {
    return fmt::format("libvirt-{}-storage", domain.disks.size() - disk_index);
}

std::string format_node(const Domain& domain, std::size_t disk_index) {
    return fmt::format("libvirt-{}-format", domain.disks.size() - disk_index);
}

}  // namespace segue
