// SPDX-License-Identifier: LGPL-2.1-or-later
// Disks: a block graph of two nodes each (storage, format) and the device in front of it.
#include "domain/alias.h"
#include "qemu/command_line/builder.h"

namespace segue {
namespace {

struct CacheMode {
    bool direct = false, no_flush = false, write_back = true;
};

std::optional<CacheMode> cache_of(const Disk& disk) {
    if (!disk.cache) return std::nullopt;
    if (*disk.cache == "none") return CacheMode{.direct = true};
    if (*disk.cache == "directsync") return CacheMode{.direct = true, .write_back = false};
    if (*disk.cache == "writethrough") return CacheMode{.write_back = false};
    if (*disk.cache == "unsafe") return CacheMode{.no_flush = true};
    return CacheMode{};
}

void set_cache(Json& node, const Disk& disk) {
    const auto mode = cache_of(disk);
    if (!mode) return;
    node.set("cache", Json::object({{"direct", mode->direct}, {"no-flush", mode->no_flush}}));
}

Json storage_of(const Disk& disk, std::string name) {
    Json node = Json::object();
    node.set("driver",
             disk.block ? (disk.kind == DiskKind::cdrom ? "host_cdrom" : "host_device") : "file");
    node.set("filename", disk.source);
    if (disk.io) node.set("aio", *disk.io);
    node.set("node-name", std::move(name));
    set_cache(node, disk);
    // Unmap always at this level: the format node above decides.
    node.set("auto-read-only", true).set("discard", "unmap");
    return node;
}

Json format_of(const Disk& disk, std::string name, std::string storage) {
    Json node = Json::object();
    node.set("node-name", std::move(name)).set("read-only", disk.read_only);
    if (disk.discard) node.set("discard", *disk.discard);
    if (disk.detect_zeroes) {
        // Without discard QEMU refuses "unmap"; libvirt writes "on" then.
        const bool degrade = *disk.detect_zeroes == "unmap" && disk.discard != "unmap";
        node.set("detect-zeroes", degrade ? std::string("on") : *disk.detect_zeroes);
    }
    set_cache(node, disk);
    node.set("driver", disk.format).set("file", std::move(storage));
    return node;
}

std::string driver_of(const Disk& disk) {
    switch (disk.bus) {
        case DiskBus::virtio: return "virtio-blk-pci";
        case DiskBus::fdc: return "floppy";
        case DiskBus::usb: return "usb-storage";
        case DiskBus::scsi: return disk.kind == DiskKind::cdrom ? "scsi-cd" : "scsi-hd";
        case DiskBus::ide:
        case DiskBus::sata: break;
    }
    return disk.kind == DiskKind::cdrom ? "ide-cd" : "ide-hd";
}

std::string controller_name(const Domain& domain, ControllerType type,
                            const DriveAddress& address) {
    if (type == ControllerType::sata && address.controller == 0 && domain.os.is_q35()) return "ide";
    for (const Controller& controller : domain.controllers) {
        if (controller.type == type && controller.index == address.controller) {
            return controller.alias;
        }
    }
    return fmt::format("{}{}", name_of(type), address.controller);
}

void place_scsi(Json& device, const Disk& disk, const Domain& domain, const DriveAddress& address) {
    const std::string name = controller_name(domain, ControllerType::scsi, address);
    if (scsi_controller_of(domain, address) == "lsilogic") {
        device.set("bus", fmt::format("{}.{}", name, address.bus)).set("scsi-id", address.unit);
    } else {
        device.set("bus", name + ".0").set("channel", address.bus);
        device.set("scsi-id", address.target).set("lun", address.unit);
    }
    // What guests know the disk by; without this it would be the name of QEMU's block node.
    device.set("device_id", disk.serial.value_or("drive-" + disk.alias));
}

Result<> place(Json& device, const Disk& disk, const Domain& domain) {
    if (!disk.has_drive_address()) return set_address(device, domain, disk.address);
    const auto* address = std::get_if<DriveAddress>(&disk.address);
    if (!address) {
        return fail(ErrorCode::internal, "disk '{}' has no drive address", disk.target);
    }
    if (disk.bus == DiskBus::ide) {
        device.set("bus", fmt::format("ide.{}", address->bus)).set("unit", address->unit);
    } else if (disk.bus == DiskBus::sata) {
        device.set("bus",
                   fmt::format("{}.{}", controller_name(domain, ControllerType::sata, *address),
                               address->unit));
    } else if (disk.bus == DiskBus::scsi) {
        place_scsi(device, disk, domain, *address);
    } else {
        device.set("unit", address->unit);
    }
    return {};
}

// The place in the boot order that <os><boot> gives the first disk of each kind; 0: none.
class BootPlaces {
  public:
    explicit BootPlaces(const OperatingSystem& os) {
        for (std::size_t index = 0; index < os.boot.size(); ++index) {
            const auto place = static_cast<std::uint32_t>(index + 1);
            if (os.boot[index] == "hd") disk_ = place;
            if (os.boot[index] == "cdrom") cdrom_ = place;
            if (os.boot[index] == "fd") floppy_ = place;
        }
    }
    std::uint32_t take(const Disk& disk) {
        if (disk.boot_order) return *disk.boot_order;
        std::uint32_t& place = disk.kind == DiskKind::disk    ? disk_
                               : disk.kind == DiskKind::cdrom ? cdrom_
                                                              : floppy_;
        return std::exchange(place, 0);
    }

  private:
    std::uint32_t disk_ = 0, cdrom_ = 0, floppy_ = 0;
};

Result<Json> device_of(const Disk& disk, const Domain& domain, const std::string& node,
                       std::uint32_t boot_place) {
    Json device = Json::object();
    device.set("driver", driver_of(disk));
    TRY(place(device, disk, domain));
    if (disk.shareable) device.set("share-rw", true);
    if (!disk.source.empty()) device.set("drive", node);
    device.set("id", disk.alias);
    if (boot_place) device.set("bootindex", boot_place);
    if (disk.bus == DiskBus::usb) device.set("removable", disk.removable == "on");
    const auto cache = cache_of(disk);
    if (cache && disk.kind != DiskKind::floppy) {
        device.set("write-cache", cache->write_back ? "on" : "off");
    }
    if (disk.serial) device.set("serial", *disk.serial);
    if (disk.error_policy) {
        // A full disk stops the guest only where writing is what failed.
        const bool space = *disk.error_policy == "enospace";
        device.set("werror", space ? std::string("enospc") : *disk.error_policy);
        device.set("rerror", space ? std::string("report") : *disk.error_policy);
    }
    return device;
}

}  // namespace

Json storage_options(const Domain& domain, std::size_t disk_index) {
    return storage_of(domain.disks[disk_index], storage_node(domain, disk_index));
}

Result<> add_disks(CommandLineBuilder& builder) {
    const Domain& domain = builder.domain();
    BootPlaces places(domain.os);
    for (std::size_t index = 0; index < domain.disks.size(); ++index) {
        const Disk& disk = domain.disks[index];
        const std::string storage = storage_node(domain, index);
        const std::string format = format_node(domain, index);
        if (!disk.source.empty()) {
            builder.add_json("-blockdev", storage_options(domain, index));
            builder.add_json("-blockdev", format_of(disk, format, storage));
        }
        builder.add_device(TRY(device_of(disk, domain, format, places.take(disk))));
    }
    return {};
}

}  // namespace segue
