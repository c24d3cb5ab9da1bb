// SPDX-License-Identifier: LGPL-2.1-or-later
// PCI addresses of every device, and the controllers that bring their buses, in the order of
// libvirt 9.0 (qemu_domain_address.c: qemuDomainAssignPCIAddresses): a first pass finds out which
// buses are missing, a second one places the devices on them.
#include <algorithm>

#include "domain/complete.h"
#include "domain/pci_topology.h"

namespace segue {
namespace {

struct PciDevice {
    Device* device;
    PciPlug plug;
    std::string_view who;
    Controller* usb2 = nullptr;  // its parts share a slot

    PciAddress* address() const { return std::get_if<PciAddress>(&device->address); }
};

// A model of a virtio device: a transitional one works in conventional slots only.
PciPlug plug_of_virtio(std::string_view model) {
    return model.ends_with("-transitional") && !model.ends_with("-non-transitional")
               ? PciPlug::conventional
               : PciPlug::express;
}

PciPlug plug_of(const Interface& interface) {
    if (interface.model.starts_with("virtio")) return plug_of_virtio(interface.model);
    return interface.model == "e1000e" ? PciPlug::express : PciPlug::conventional;
}

PciPlug plug_of(const Video& video) {
    const bool express = video.model == VideoModel::virtio || video.model == VideoModel::bochs;
    return express ? PciPlug::express : PciPlug::conventional;
}

// Controllers other than PCI ones; nothing for those that are no PCI device of their own.
std::optional<PciPlug> plug_of(const Controller& controller) {
    switch (controller.type) {
        case ControllerType::usb:
            if (controller.model == "none") return std::nullopt;
            return controller.model.ends_with("-xhci") ? PciPlug::express : PciPlug::conventional;
        case ControllerType::scsi:
            return controller.model.starts_with("virtio") ? plug_of_virtio(controller.model)
                                                          : PciPlug::conventional;
        case ControllerType::virtio_serial: return plug_of_virtio(controller.model);
        case ControllerType::ide:
        case ControllerType::sata: return PciPlug::conventional;
        case ControllerType::pci:
        case ControllerType::fdc:
        case ControllerType::ccid: break;
    }
    return std::nullopt;
}

// Every PCI device, in the order in which libvirt gives places.
class DeviceList {
  public:
    explicit DeviceList(Domain& domain) : q35_(domain.os.is_q35()) {
        for (Controller& controller : domain.controllers) {
            const auto plug = plug_of_controller(controller.model);
            if (controller.type == ControllerType::pci && plug) {
                devices_.push_back({&controller, *plug, "a PCI controller"});
            }
        }
        for (Interface& interface : domain.interfaces)
            add(interface, plug_of(interface), "an interface");
        for (Sound& sound : domain.sounds)
            add(sound, PciPlug::conventional, "a sound card");
        for (Controller& controller : domain.controllers) {
            const auto plug = plug_of(controller);
            if (!plug) continue;
            add(controller, *plug, "a controller");
            if (controller.is_usb2()) devices_.back().usb2 = &controller;
        }
        for (Disk& disk : domain.disks) {
            if (disk.bus == DiskBus::virtio) add(disk, PciPlug::express, "a virtio disk");
        }
        if (domain.balloon && domain.balloon->present) {
            add(*domain.balloon, PciPlug::express, "the balloon");
        }
        for (Rng& rng : domain.rngs)
            add(rng, PciPlug::express, "a random number generator");
        for (Video& video : domain.videos)
            add(video, plug_of(video), "a video device");
        for (Input& input : domain.inputs) {
            if (input.bus == "virtio") add(input, PciPlug::express, "an input device");
        }
    }

    auto begin() const { return devices_.begin(); }
    auto end() const { return devices_.end(); }

  private:
    void add(Device& device, PciPlug plug, std::string_view who) {
        devices_.push_back({&device, q35_ ? plug : PciPlug::conventional, who});
    }

    bool q35_;
    std::vector<PciDevice> devices_;
};

Result<> fix(Device& device, const PciAddress& address, std::string_view who) {
    if (!device.has_address()) device.address = address;
    const auto* is = std::get_if<PciAddress>(&device.address);
    if (!is || !(is->bus == 0 && is->slot == address.slot && is->function == address.function)) {
        return fail(ErrorCode::internal, "{} must have PCI address 0:0:{:x}.{}", who, address.slot,
                    address.function);
    }
    return {};
}

// The controllers that are parts of the chipset.
Result<> place_built_in(Domain& domain) {
    for (Controller& controller : domain.controllers) {
        if (controller.index != 0) continue;
        if (controller.type == ControllerType::sata && domain.os.is_q35()) {
            TRY(fix(controller, {.slot = 0x1f, .function = 2}, "Primary SATA controller"));
        } else if (controller.type == ControllerType::ide) {
            TRY(fix(controller, {.slot = 1, .function = 1}, "Primary IDE controller"));
        } else if (controller.type == ControllerType::usb && controller.model == "piix3-uhci" &&
                   !domain.os.is_q35()) {
            TRY(fix(controller, {.slot = 1, .function = 2}, "PIIX3 USB controller at index 0"));
        }
    }
    return {};
}

// The other parts of the chipset, which no definition shows.
Result<> reserve_chipset(const Domain& domain, PciTopology& buses) {
    const bool q35 = domain.os.is_q35();
    const PciPlug plug = q35 ? PciPlug::express : PciPlug::conventional;
    PciAddress isa{.slot = static_cast<std::uint8_t>(q35 ? 0x1f : 1)};
    PciAddress management{.slot = isa.slot, .function = 3};
    TRY(buses.reserve(isa, plug, "the ISA bridge"));
    return buses.reserve(management, plug, q35 ? "the SMBus" : "the PM bridge");
}

// Takes this slot of the root bus, if nothing is in it yet.
Result<bool> place_at(PciTopology& buses, Device& device, std::uint8_t slot, PciPlug plug,
                      std::string_view who) {
    if (device.has_address() || buses.in_use(0, slot)) return false;
    PciAddress address{.slot = slot};
    TRY(buses.reserve(address, plug, who));
    device.address = address;
    return true;
}

// Where real hardware, or QEMU itself, has these.
Result<> place_customary(Domain& domain, PciTopology& buses) {
    const bool q35 = domain.os.is_q35();
    const PciPlug plug = q35 ? PciPlug::express : PciPlug::conventional;
    if (q35) {
        for (Controller& controller : domain.controllers) {
            if (controller.model != "ich9-uhci1" || controller.has_address()) continue;
            bool placed = TRY(place_at(buses, controller, 0x1d, plug, "a USB controller"));
            if (!placed) placed = TRY(place_at(buses, controller, 0x1a, plug, "a USB controller"));
            if (placed) std::get<PciAddress>(controller.address).multifunction = true;
        }
    }
    if (!domain.videos.empty() && !domain.videos.front().has_address()) {
        Video& video = domain.videos.front();
        const auto slot = static_cast<std::uint8_t>(q35 ? 1 : 2);
        const bool placed = TRY(place_at(buses, video, slot, plug, "the primary video device"));
        if (!placed) {
            video.address =
                TRY(buses.take(q35 ? plug_of(video) : plug, "the primary video device"));
        }
    }
    for (Sound& sound : domain.sounds) {
        if (!q35 || sound.model != "ich9" || sound.has_address()) continue;
        TRY(place_at(buses, sound, 0x1b, plug, "a sound card"));
        break;
    }
    return {};
}

// The parts of a USB 2 controller share a slot: EHCI function 7, companions 0, 1 and 2.
Result<PciAddress> take_usb2(const Domain& domain, const PciDevice& device, PciTopology& buses) {
    std::uint8_t function = 7;
    if (device.usb2->model == "ich9-uhci1") function = 0;
    if (device.usb2->model == "ich9-uhci2") function = 1;
    if (device.usb2->model == "ich9-uhci3") function = 2;
    const PciAddress* sibling = nullptr;
    for (const Controller& other : domain.controllers) {
        if (!sibling && other.is_usb2() && other.index == device.usb2->index) {
            sibling = std::get_if<PciAddress>(&other.address);
        }
    }
    PciAddress address;
    if (sibling) {
        address = {.bus = sibling->bus, .slot = sibling->slot, .function = function};
        TRY(buses.reserve(address, device.plug, device.who));
    } else {
        address = TRY(buses.take(device.plug, device.who, function));
    }
    if (function == 0) address.multifunction = true;
    return address;
}

// One pass over a domain whose built-in controllers are placed.
Result<> place_devices(Domain& domain, PciTopology& buses, bool keep_spare) {
    const DeviceList devices(domain);
    for (const PciDevice& one : devices) {
        if (!one.device->has_address()) continue;
        if (!one.address()) {
            return fail(ErrorCode::config_unsupported, "{} needs an address of type 'pci'",
                        one.who);
        }
        TRY(buses.reserve(*one.address(), one.plug, one.who));
    }
    TRY(reserve_chipset(domain, buses));
    TRY(place_customary(domain, buses));
    // So that a bridge can still be added when the last slot is needed.
    if (keep_spare && !domain.os.is_q35() && buses.has_room()) {
        TRY(buses.take(PciPlug::conventional, "a later bridge"));
    }
    for (const PciDevice& one : devices) {
        if (one.device->has_address()) continue;
        one.device->address =
            one.usb2 ? TRY(take_usb2(domain, one, buses)) : TRY(buses.take(one.plug, one.who));
    }
    return {};
}

Result<PciTopology> topology_of(const Domain& domain, bool may_grow) {
    PciTopology buses(domain.os.is_q35() ? "pcie-root" : "pci-root", may_grow);
    for (const Controller& controller : domain.controllers) {
        if (controller.type != ControllerType::pci || controller.index == 0) continue;
        TRY(buses.set_bus(controller.index, controller.model));
    }
    return buses;
}

// The models of all buses that the domain's devices need: found out on a copy of it.
Result<std::vector<std::string_view>> needed_buses(const Domain& domain) {
    Domain draft = domain;
    PciTopology buses = TRY(topology_of(draft, true));
    const std::size_t given = buses.models().size();
    TRY(place_devices(draft, buses, true));
    // A definition that leaves the buses to us gets one free port, for a device to come.
    if (domain.os.is_q35() && given == 1 && buses.models().size() > 1) {
        TRY(buses.take(PciPlug::express, "a later device"));
    }
    return buses.models();
}

// Function 0 says that its slot has others.
void mark_multifunction(Domain& domain) {
    const DeviceList devices(domain);
    for (const PciDevice& one : devices) {
        const PciAddress* above = one.address();
        if (!above || above->function == 0) continue;
        for (const PciDevice& other : devices) {
            PciAddress* first = other.address();
            const bool same_slot = first && first->function == 0 && first->bus == above->bus &&
                                   first->slot == above->slot;
            if (same_slot && !first->multifunction) first->multifunction = true;
        }
    }
}

void complete_pci_controller(Controller& controller) {
    const auto* address = std::get_if<PciAddress>(&controller.address);
    const auto name = [&](std::string_view otherwise) {
        if (controller.model_name.empty()) controller.model_name = otherwise;
    };
    if (controller.model == "pci-bridge") {
        name("pci-bridge");
        if (!controller.chassis_number) controller.chassis_number = controller.index;
    } else if (controller.model == "dmi-to-pci-bridge") {
        name("i82801b11-bridge");
    } else if (controller.model == "pcie-to-pci-bridge") {
        name("pcie-pci-bridge");
    } else if (controller.model == "pcie-root-port" && address) {
        name("pcie-root-port");
        if (!controller.chassis) controller.chassis = controller.index;
        if (!controller.port) controller.port = (address->slot << 3) + address->function;
    }
}

}  // namespace

Result<> assign_pci_addresses(Domain& domain) {
    TRY(place_built_in(domain));
    const auto models = TRY(needed_buses(domain));
    for (std::uint32_t index = 1; index < models.size(); ++index)
        need_controller(domain, ControllerType::pci, index, models[index]);
    PciTopology buses = TRY(topology_of(domain, false));
    TRY(place_devices(domain, buses, false));
    mark_multifunction(domain);
    for (Controller& controller : domain.controllers) {
        if (controller.type == ControllerType::pci) complete_pci_controller(controller);
    }
    return {};
}

}  // namespace segue
