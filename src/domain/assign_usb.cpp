// SPDX-License-Identifier: LGPL-2.1-or-later
// Addresses that are not PCI: drives by their target's letter, virtio-serial ports, USB ports.
// Source of the order: libvirt 9.0, virDomainUSBDeviceDefForeach and qemuDomainUSBAddressAddHubs.
#include <algorithm>
#include <map>
#include <set>

#include "domain/complete.h"

namespace segue {
namespace {

constexpr std::uint32_t kHubPorts = 8;
constexpr std::uint32_t kMaxSerialPorts = 31;
constexpr std::uint32_t kScsiUnits = 16;
constexpr std::uint32_t kMaxControllers = 16;  // of a kind

DriveAddress drive_address_of(const Disk& disk) {
    const std::uint32_t index = disk.target_index();
    switch (disk.bus) {
        case DiskBus::ide:
            return {.controller = index / 4, .bus = index % 4 / 2, .unit = index % 2};
        case DiskBus::sata: return {.controller = index / 6, .unit = index % 6};
        case DiskBus::fdc: return {.controller = index / 2, .unit = index % 2};
        case DiskBus::scsi: {
            // A wide bus; unit 7 is the controller itself.
            const std::uint32_t unit = index % (kScsiUnits - 1);
            return {.controller = index / (kScsiUnits - 1), .unit = unit + (unit >= 7 ? 1 : 0)};
        }
        case DiskBus::virtio:
        case DiskBus::usb: break;
    }
    return {};
}

// How many there are of each, per what is named before it.
DriveAddress limits_of(const Disk& disk, const Domain& domain) {
    switch (disk.bus) {
        case DiskBus::sata: return {.controller = 8, .bus = 1, .target = 1, .unit = 6};
        case DiskBus::ide: return {.controller = 1, .bus = 2, .target = 1, .unit = 2};
        case DiskBus::fdc: return {.controller = 1, .bus = 1, .target = 1, .unit = 2};
        case DiskBus::scsi: break;
        case DiskBus::virtio:
        case DiskBus::usb: return {};
    }
    const auto* address = std::get_if<DriveAddress>(&disk.address);
    for (const Controller& controller : domain.controllers) {
        const bool same = controller.type == ControllerType::scsi && address &&
                          controller.index == address->controller;
        // virtio-scsi: 256 targets of up to 16384 units.
        if (same && controller.model.starts_with("virtio")) {
            return {.controller = kMaxControllers, .bus = 1, .target = 256, .unit = 16384};
        }
    }
    return {.controller = kMaxControllers, .bus = 1, .target = 1, .unit = kScsiUnits};
}

bool fits(const DriveAddress& address, const DriveAddress& limits) {
    return address.controller < limits.controller && address.bus < limits.bus &&
           address.target < limits.target && address.unit < limits.unit;
}

// The free and used ports of one USB bus, a tree: ports of the controller, and of hubs below.
class UsbBus {
  public:
    void add_ports(const std::string& above, std::uint32_t count) {
        for (std::uint32_t port = 1; port <= count; ++port)
            free_.push_back(above + std::to_string(port));
    }
    Result<> reserve(const std::string& port) {
        const auto found = std::find(free_.begin(), free_.end(), port);
        if (found == free_.end()) {
            return fail(ErrorCode::xml_invalid,
                        "requested USB port {} not available on the USB bus", port);
        }
        free_.erase(found);
        return {};
    }
    std::optional<std::string> take() {
        if (free_.empty()) return std::nullopt;
        std::string port = free_.front();
        free_.erase(free_.begin());
        return port;
    }
    std::size_t available() const { return free_.size(); }

  private:
    std::vector<std::string> free_;
};

using Buses = std::map<std::uint32_t, UsbBus>;

// (controller, port) of virtio-serial. Port 0 is a console's: QEMU gives it to the first one, and
// libvirt keeps no account of it.
using SerialPorts = std::set<std::pair<std::uint32_t, std::uint32_t>>;

Result<> reserve_serial_port(SerialPorts& used, const Device& device, std::string_view what) {
    const auto* address = std::get_if<VirtioSerialAddress>(&device.address);
    if (device.has_address() && !address) {
        return fail(ErrorCode::config_unsupported, "a {} needs an address of type 'virtio-serial'",
                    what);
    }
    if (!address || address->port == 0) return {};
    if (address->port >= kMaxSerialPorts ||
        !used.emplace(address->controller, address->port).second) {
        return fail(ErrorCode::xml_invalid,
                    "virtio serial port {} on controller {} is already occupied, or above {}",
                    address->port, address->controller, kMaxSerialPorts - 1);
    }
    return {};
}

// 0: none is free.
std::uint32_t take_serial_port(SerialPorts& used, std::uint32_t controller) {
    for (std::uint32_t port = 1; port < kMaxSerialPorts; ++port) {
        if (used.emplace(controller, port).second) return port;
    }
    return 0;
}

// In libvirt's order: disks, smartcard readers, input devices, redirected devices.
std::vector<Device*> usb_devices(Domain& domain) {
    std::vector<Device*> devices;
    for (Disk& disk : domain.disks) {
        if (disk.bus == DiskBus::usb) devices.push_back(&disk);
    }
    for (Controller& controller : domain.controllers) {
        if (controller.type == ControllerType::ccid) devices.push_back(&controller);
    }
    for (Input& input : domain.inputs) {
        if (input.bus == "usb") devices.push_back(&input);
    }
    for (RedirectedDevice& device : domain.redirected)
        devices.push_back(&device);
    return devices;
}

Result<> reserve(Buses& buses, const Device& device) {
    const auto* address = std::get_if<UsbAddress>(&device.address);
    if (!address) {
        return fail(ErrorCode::config_unsupported, "a USB device needs an address of type 'usb'");
    }
    const auto bus = buses.find(address->bus);
    if (bus == buses.end()) {
        return fail(ErrorCode::xml_invalid, "Missing USB bus {}", address->bus);
    }
    return bus->second.reserve(address->port);
}

Result<> take(Buses& buses, Device& device) {
    for (auto& [index, bus] : buses) {
        if (auto port = bus.take()) {
            device.address = UsbAddress{index, std::move(*port)};
            return {};
        }
    }
    return fail(ErrorCode::internal, "No free USB ports");
}

Buses make_buses(const Domain& domain) {
    Buses buses;
    for (const Controller& controller : domain.controllers) {
        const std::uint32_t ports = usb_ports_of(controller);
        if (ports) buses[controller.index].add_ports("", ports);
    }
    return buses;
}

void add_hubs(Domain& domain, const Buses& buses, std::size_t devices) {
    std::size_t available = 0;
    for (const auto& [index, bus] : buses)
        available += bus.available();
    available += domain.hubs.size() * kHubPorts;
    devices += domain.hubs.size();
    if (devices <= available || buses.empty()) return;
    const std::size_t needed = (devices - available + 1 + kHubPorts - 2) / (kHubPorts - 1);
    domain.hubs.resize(domain.hubs.size() + needed);
}

Result<> place_hubs(Domain& domain, Buses& buses) {
    for (Hub& hub : domain.hubs) {
        if (hub.has_address()) {
            TRY(reserve(buses, hub));
        } else {
            TRY(take(buses, hub));
        }
        const auto& address = std::get<UsbAddress>(hub.address);
        buses[address.bus].add_ports(address.port + ".", kHubPorts);
    }
    return {};
}

}  // namespace

Result<> assign_drive_addresses(Domain& domain) {
    std::set<std::tuple<DiskBus, std::uint32_t, std::uint32_t, std::uint32_t, std::uint32_t>> used;
    for (Disk& disk : domain.disks) {
        if (!disk.has_drive_address()) continue;
        if (!disk.has_address()) disk.address = drive_address_of(disk);
        const auto* address = std::get_if<DriveAddress>(&disk.address);
        if (!address) {
            return fail(ErrorCode::config_unsupported, "disk '{}' needs an address of type 'drive'",
                        disk.target);
        }
        if (!fits(*address, limits_of(disk, domain))) {
            return fail(ErrorCode::config_unsupported,
                        "disk '{}' has no place on the {} controllers of the machine", disk.target,
                        name_of(disk.bus));
        }
        if (!used.emplace(disk.bus, address->controller, address->bus, address->target,
                          address->unit)
                 .second) {
            return fail(ErrorCode::xml_invalid,
                        "Found duplicate drive address for disk with target name '{}'",
                        disk.target);
        }
    }
    return {};
}

Result<> assign_virtio_serial_addresses(Domain& domain) {
    SerialPorts used;
    for (const Console& console : domain.consoles) {
        if (console.is_virtio()) TRY(reserve_serial_port(used, console, "console"));
    }
    for (const Channel& channel : domain.channels)
        TRY(reserve_serial_port(used, channel, "channel"));
    // libvirt counts a port that it does not use for a console which asks for number 0.
    for (const Console& console : domain.consoles) {
        const auto* given = std::get_if<VirtioSerialAddress>(&console.address);
        if (given && given->port == 0) take_serial_port(used, given->controller);
    }
    for (Channel& channel : domain.channels) {
        VirtioSerialAddress address;
        if (const auto* given = std::get_if<VirtioSerialAddress>(&channel.address)) {
            address = *given;
        }
        if (address.port == 0) address.port = take_serial_port(used, address.controller);
        if (address.port == 0) {
            return fail(ErrorCode::config_unsupported, "Unable to find a free virtio-serial port");
        }
        channel.address = address;
    }
    return {};
}

Result<> assign_usb_addresses(Domain& domain) {
    Buses buses = make_buses(domain);
    const std::vector<Device*> devices = usb_devices(domain);
    if (devices.empty() && domain.hubs.empty()) return {};
    if (buses.empty()) {
        return fail(ErrorCode::config_unsupported,
                    "USB is disabled for this domain, but USB devices are present in the domain "
                    "XML");
    }
    add_hubs(domain, buses, devices.size());
    TRY(place_hubs(domain, buses));
    for (const Device* device : devices) {
        if (device->has_address()) TRY(reserve(buses, *device));
    }
    for (Device* device : devices) {
        if (!device->has_address()) TRY(take(buses, *device));
    }
    std::set<std::uint32_t> readers;
    for (Smartcard& smartcard : domain.smartcards) {
        if (!smartcard.has_address()) smartcard.address = CcidAddress();
        const auto* address = std::get_if<CcidAddress>(&smartcard.address);
        if (!address || !readers.insert(address->controller).second) {
            return fail(ErrorCode::config_unsupported,
                        "a smartcard needs a CCID controller of its own");
        }
    }
    return {};
}

}  // namespace segue
