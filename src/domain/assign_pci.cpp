// SPDX-License-Identifier: LGPL-2.1-or-later
// PCI addresses on the pc machine's one bus, in the order of libvirt 9.0 (qemu_domain_address.c:
// qemuDomainValidateDevicePCISlotsPIIX3, qemuDomainAssignDevicePCISlots).
#include <array>

#include "domain/complete.h"

namespace segue {
namespace {

constexpr std::uint8_t kSlots = 32, kFunctions = 8;

class PciBus {
  public:
    // Takes one function; with `whole` (no multifunction device there) nothing else may share the
    // slot.
    Result<> reserve(const PciAddress& address, std::string_view who) {
        if (address.domain != 0 || address.bus != 0) {
            return fail(ErrorCode::config_unsupported,
                        "The address {} of {} is on a bus that the machine does not have",
                        address.text(), who);
        }
        std::uint8_t& slot = used_[address.slot];
        const auto bit = static_cast<std::uint8_t>(1U << address.function);
        if (slot & bit) {
            return fail(ErrorCode::xml_invalid, "Attempted double use of PCI Address {} (by {})",
                        address.text(), who);
        }
        slot = static_cast<std::uint8_t>(slot | bit);
        return {};
    }

    bool in_use(std::uint8_t slot) const { return used_[slot] != 0; }

    // The first slot with nothing in it.
    Result<PciAddress> take(std::string_view who, std::uint8_t function = 0) {
        for (std::uint8_t slot = 1; slot < kSlots; ++slot) {
            if (in_use(slot)) continue;
            PciAddress address{.slot = slot, .function = function};
            TRY(reserve(address, who));
            return address;
        }
        return fail(ErrorCode::config_unsupported, "No more available PCI slots (for {})", who);
    }

  private:
    std::array<std::uint8_t, kSlots> used_{};
};

bool is_pci_sound(const Sound&) {
    return true;  // each model that we know
}
bool is_pci_input(const Input& input) {
    return input.bus == "virtio";
}
bool is_pci_controller(const Controller& controller) {
    switch (controller.type) {
        case ControllerType::usb: return controller.model != "none";
        case ControllerType::ide: return controller.index > 0;
        case ControllerType::sata:
        case ControllerType::virtio_serial: return true;
        case ControllerType::pci:
        case ControllerType::fdc:
        case ControllerType::ccid: return false;
    }
    return false;
}
// The parts of the PIIX3 bridge itself.
bool is_piix3_ide(const Controller& controller) {
    return controller.type == ControllerType::ide && controller.index == 0;
}
bool is_piix3_usb(const Controller& controller) {
    return controller.type == ControllerType::usb && controller.index == 0 &&
           controller.model == "piix3-uhci";
}

Result<> fix(Device& device, const PciAddress& address, std::string_view who) {
    if (!device.has_address()) device.address = address;
    const auto* is = std::get_if<PciAddress>(&device.address);
    if (!is || !(is->slot == address.slot && is->function == address.function)) {
        return fail(ErrorCode::internal, "{} must have PCI address 0:0:{}.{}", who, address.slot,
                    address.function);
    }
    return {};
}

Result<> place_piix3(Domain& domain) {
    for (Controller& controller : domain.controllers) {
        if (is_piix3_ide(controller)) {
            TRY(fix(controller, {.slot = 1, .function = 1}, "Primary IDE controller"));
        } else if (is_piix3_usb(controller)) {
            TRY(fix(controller, {.slot = 1, .function = 2}, "PIIX3 USB controller at index 0"));
        }
    }
    return {};
}

template <class T, class Wanted>
Result<> reserve_given(const std::vector<T>& devices, std::string_view who, PciBus& bus,
                       Wanted wanted) {
    for (const T& device : devices) {
        if (!wanted(device) || !device.has_address()) continue;
        const auto* address = std::get_if<PciAddress>(&device.address);
        if (!address) {
            return fail(ErrorCode::config_unsupported, "{} needs an address of type 'pci'", who);
        }
        TRY(bus.reserve(*address, who));
    }
    return {};
}

template <class T, class Wanted>
Result<> take_rest(std::vector<T>& devices, std::string_view who, PciBus& bus, Wanted wanted) {
    for (T& device : devices) {
        if (wanted(device) && !device.has_address()) device.address = TRY(bus.take(who));
    }
    return {};
}

constexpr auto kEvery = [](const auto&) { return true; };
constexpr auto kVirtioDisk = [](const Disk& disk) { return disk.bus == DiskBus::virtio; };

Result<> reserve_all_given(Domain& domain, PciBus& bus) {
    // Host bridge, ISA bridge, power management.
    TRY(bus.reserve({.slot = 0}, "the host bridge"));
    TRY(bus.reserve({.slot = 1}, "the ISA bridge"));
    TRY(bus.reserve({.slot = 1, .function = 3}, "the PM bridge"));
    TRY(reserve_given(domain.controllers, "a controller", bus, is_pci_controller));
    TRY(reserve_given(domain.controllers, "the IDE controller", bus, is_piix3_ide));
    TRY(reserve_given(domain.interfaces, "an interface", bus, kEvery));
    TRY(reserve_given(domain.sounds, "a sound card", bus, is_pci_sound));
    TRY(reserve_given(domain.disks, "a virtio disk", bus, kVirtioDisk));
    TRY(reserve_given(domain.rngs, "a random number generator", bus, kEvery));
    TRY(reserve_given(domain.videos, "a video device", bus, kEvery));
    TRY(reserve_given(domain.inputs, "an input device", bus, is_pci_input));
    if (domain.balloon && domain.balloon->present) {
        TRY(reserve_given(std::vector<Balloon>{*domain.balloon}, "the balloon", bus, kEvery));
    }
    return {};
}

// The parts of a USB 2 controller share a slot: EHCI function 7, companions 0, 1 and 2.
Result<> place_usb2(Domain& domain, Controller& controller, PciBus& bus) {
    std::uint8_t function = 7;
    if (controller.model == "ich9-uhci1") function = 0;
    if (controller.model == "ich9-uhci2") function = 1;
    if (controller.model == "ich9-uhci3") function = 2;
    const PciAddress* sibling = nullptr;
    for (const Controller& other : domain.controllers) {
        if (!sibling && other.is_usb2() && other.index == controller.index) {
            sibling = std::get_if<PciAddress>(&other.address);
        }
    }
    PciAddress address;
    if (sibling) {
        address = {.slot = sibling->slot, .function = function};
        TRY(bus.reserve(address, "a USB controller"));
    } else {
        address = TRY(bus.take("a USB controller", function));
    }
    if (function == 0) address.multifunction = true;
    controller.address = address;
    return {};
}

Result<> place_controllers(Domain& domain, PciBus& bus) {
    for (Controller& controller : domain.controllers) {
        if (!is_pci_controller(controller) || controller.has_address()) continue;
        if (controller.is_usb2()) {
            TRY(place_usb2(domain, controller, bus));
        } else {
            controller.address = TRY(bus.take("a controller"));
        }
    }
    return {};
}

}  // namespace

Result<> assign_pci_addresses(Domain& domain) {
    PciBus bus;
    TRY(place_piix3(domain));
    TRY(reserve_all_given(domain, bus));
    // QEMU's own place for the first adapter of a pc machine.
    if (!domain.videos.empty() && !domain.videos.front().has_address() && !bus.in_use(2)) {
        domain.videos.front().address = PciAddress{.slot = 2};
        TRY(bus.reserve({.slot = 2}, "the primary video device"));
    } else if (!domain.videos.empty() && !domain.videos.front().has_address()) {
        domain.videos.front().address = TRY(bus.take("the primary video device"));
    }
    TRY(take_rest(domain.interfaces, "an interface", bus, kEvery));
    TRY(take_rest(domain.sounds, "a sound card", bus, is_pci_sound));
    TRY(place_controllers(domain, bus));
    TRY(take_rest(domain.disks, "a virtio disk", bus, kVirtioDisk));
    if (domain.balloon && domain.balloon->present && !domain.balloon->has_address()) {
        domain.balloon->address = TRY(bus.take("the balloon"));
    }
    TRY(take_rest(domain.rngs, "a random number generator", bus, kEvery));
    TRY(take_rest(domain.videos, "a video device", bus, kEvery));
    TRY(take_rest(domain.inputs, "an input device", bus, is_pci_input));
    return {};
}

}  // namespace segue
