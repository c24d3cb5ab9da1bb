// SPDX-License-Identifier: LGPL-2.1-or-later
#include "domain/pci_topology.h"

#include <algorithm>

namespace segue {
namespace {

constexpr std::size_t kMaxBuses = 256;
constexpr std::uint8_t kFunctions = 8;

constexpr std::uint8_t bit(PciPlug plug) {
    return static_cast<std::uint8_t>(plug);
}
constexpr std::uint8_t bits(PciPlug one, PciPlug other) {
    return static_cast<std::uint8_t>(bit(one) | bit(other));
}
constexpr std::uint8_t kEndpoints = bits(PciPlug::conventional, PciPlug::express);
constexpr std::uint8_t kConventional = bits(PciPlug::conventional, PciPlug::conventional_bridge);

constexpr bool is_endpoint(PciPlug plug) {
    return (bit(plug) & kEndpoints) != 0;
}

}  // namespace

const PciTopology::Kind PciTopology::kKinds[] = {
    {"pci-root", kConventional, true, 1, 31},
    {"pci-bridge", kConventional, true, 1, 31},
    {"pcie-root",
     static_cast<std::uint8_t>(bits(PciPlug::express, PciPlug::root_port) |
                               bit(PciPlug::dmi_bridge)),
     false, 1, 31},
    {"dmi-to-pci-bridge", kConventional, false, 0, 31},
    {"pcie-to-pci-bridge", kConventional, true, 1, 31},
    {"pcie-root-port", bits(PciPlug::express, PciPlug::express_bridge), true, 0, 0},
};

std::optional<PciPlug> plug_of_controller(std::string_view model) {
    if (model == "pci-bridge") return PciPlug::conventional_bridge;
    if (model == "dmi-to-pci-bridge") return PciPlug::dmi_bridge;
    if (model == "pcie-root-port") return PciPlug::root_port;
    if (model == "pcie-to-pci-bridge") return PciPlug::express_bridge;
    return std::nullopt;
}

const PciTopology::Kind* PciTopology::kind_of(std::string_view model) {
    const auto found = std::find_if(std::begin(kKinds), std::end(kKinds),
                                    [&](const Kind& kind) { return kind.model == model; });
    return found == std::end(kKinds) ? nullptr : found;
}

PciTopology::PciTopology(std::string_view root_model, bool may_grow) : may_grow_(may_grow) {
    add_bus(root_model);
}

void PciTopology::add_bus(std::string_view model) {
    Bus bus;
    bus.kind = kind_of(model);
    bus.accepts = bus.kind->accepts;
    buses_.push_back(bus);
}

Result<> PciTopology::set_bus(std::uint32_t index, std::string_view model) {
    const Kind* kind = kind_of(model);
    if (!kind || index >= kMaxBuses) {
        return fail(ErrorCode::config_unsupported,
                    "PCI controller {} of model '{}' is not supported", index, model);
    }
    const bool express = buses_.front().kind->model == "pcie-root";
    while (buses_.size() <= index)
        add_bus(express ? "pcie-root-port" : "pci-bridge");
    buses_[index].kind = kind;
    buses_[index].accepts = kind->accepts;
    return {};
}

std::vector<std::string_view> PciTopology::models() const {
    std::vector<std::string_view> out;
    for (const Bus& bus : buses_)
        out.push_back(bus.kind->model);
    return out;
}

bool PciTopology::in_use(std::uint8_t bus, std::uint8_t slot) const {
    return bus < buses_.size() && buses_[bus].slots[slot].functions != 0;
}

bool PciTopology::has_room() const {
    for (const Bus& bus : buses_) {
        for (std::size_t slot = bus.kind->first_slot; slot <= bus.kind->last_slot; ++slot)
            if (bus.slots[slot].functions == 0) return true;
    }
    return false;
}

Result<> PciTopology::grow(PciAddress& address, PciPlug plug, std::string_view who) {
    if (address.bus < buses_.size()) return {};
    std::size_t missing = address.bus - buses_.size() + 1;
    std::string_view model = "pcie-root-port";
    if (plug == PciPlug::conventional) {
        model = "pci-bridge";
        // A machine of Express ports alone gets a conventional bus behind one of them.
        const bool any = std::any_of(buses_.begin(), buses_.end(), [](const Bus& bus) {
            return (bus.accepts & bit(PciPlug::conventional_bridge)) != 0;
        });
        if (!any) {
            if (missing == 1) {
                ++missing;
                ++address.bus;
            }
            add_bus("pcie-root-port");
            // Kept for the bridge.
            buses_.back().accepts = bit(PciPlug::express_bridge);
            add_bus("pcie-to-pci-bridge");
            missing -= 2;
        }
    } else if (plug != PciPlug::express) {
        return fail(ErrorCode::internal,
                    "a PCI slot is needed for {}, but none is available, and it cannot be "
                    "automatically added",
                    who);
    }
    if (buses_.size() + missing > kMaxBuses) {
        return fail(ErrorCode::config_unsupported, "more than {} PCI buses (for {})", kMaxBuses,
                    who);
    }
    for (; missing > 0; --missing)
        add_bus(model);
    return {};
}

Result<> PciTopology::check_place(const PciAddress& address, PciPlug plug,
                                  std::string_view who) const {
    if (address.domain != 0 || address.bus >= buses_.size()) {
        return fail(ErrorCode::xml_invalid,
                    "Invalid PCI address {} of {}. Only PCI domain 0 and PCI buses up to {} are "
                    "available",
                    address.text(), who, buses_.size() - 1);
    }
    const Bus& bus = buses_[address.bus];
    // Whoever gives an address may put either sort of endpoint on either sort of bus, and a bridge
    // where a conventional device goes.
    const bool takes_endpoints = (bus.accepts & kEndpoints) != 0;
    const bool fits = (bus.accepts & bit(plug)) != 0 || (is_endpoint(plug) && takes_endpoints) ||
                      (plug == PciPlug::conventional_bridge && takes_endpoints);
    if (!fits) {
        return fail(ErrorCode::xml_invalid,
                    "The device at PCI address {} ({}) cannot be plugged into the PCI controller "
                    "with index='{}' ({})",
                    address.text(), who, address.bus, bus.kind->model);
    }
    if (address.slot < bus.kind->first_slot || address.slot > bus.kind->last_slot) {
        return fail(ErrorCode::xml_invalid,
                    "Invalid PCI address {} of {}. slot must be from {} to {}", address.text(), who,
                    bus.kind->first_slot, bus.kind->last_slot);
    }
    return {};
}

Result<> PciTopology::mark(const PciAddress& address, PciPlug plug, std::string_view who) {
    Slot& slot = buses_[address.bus].slots[address.slot];
    const auto function = static_cast<std::uint8_t>(1U << address.function);
    if (slot.functions & function) {
        return fail(ErrorCode::xml_invalid, "Attempted double use of PCI Address {} (by {})",
                    address.text(), who);
    }
    if (slot.functions == 0) slot.shared = plug == PciPlug::root_port;
    slot.functions = static_cast<std::uint8_t>(slot.functions | function);
    return {};
}

Result<> PciTopology::reserve(PciAddress& address, PciPlug plug, std::string_view who) {
    if (may_grow_) TRY(grow(address, plug, who));
    TRY(check_place(address, plug, who));
    return mark(address, plug, who);
}

std::optional<PciAddress> PciTopology::find_free(std::size_t index, PciPlug plug,
                                                 std::optional<std::uint8_t> function) const {
    const Bus& bus = buses_[index];
    if ((bus.accepts & bit(plug)) == 0) return std::nullopt;
    if (is_endpoint(plug) && !bus.kind->automatic) return std::nullopt;
    PciAddress address{.bus = static_cast<std::uint8_t>(index)};
    for (std::uint8_t slot = bus.kind->first_slot; slot <= bus.kind->last_slot; ++slot) {
        const Slot& at = bus.slots[slot];
        address.slot = slot;
        address.function = function.value_or(0);
        if (at.functions == 0) return address;
        if (plug != PciPlug::root_port || !at.shared || function) continue;
        for (std::uint8_t free = 0; free < kFunctions; ++free) {
            address.function = free;
            if ((at.functions & (1U << free)) == 0) return address;
        }
    }
    return std::nullopt;
}

Result<PciAddress> PciTopology::take(PciPlug plug, std::string_view who,
                                     std::optional<std::uint8_t> function) {
    for (std::size_t index = 0; index < buses_.size(); ++index) {
        const auto found = find_free(index, plug, function);
        if (!found) continue;
        TRY(mark(*found, plug, who));
        return *found;
    }
    if (!may_grow_ || buses_.size() >= kMaxBuses) {
        return fail(ErrorCode::config_unsupported, "No more available PCI slots (for {})", who);
    }
    PciAddress address{.bus = static_cast<std::uint8_t>(buses_.size()),
                       .function = function.value_or(0)};
    TRY(grow(address, plug, who));
    address.slot = buses_[address.bus].kind->first_slot;
    TRY(mark(address, plug, who));
    return address;
}

}  // namespace segue
