// SPDX-License-Identifier: LGPL-2.1-or-later
// The PCI buses of a machine, and what is free on them: which controller takes which device, and
// which controllers are added where there is no room. The rules are libvirt's (domain_addr.c of
// 9.0), because they decide what a guest sees.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "domain/address.h"

namespace segue {

// What a device needs its bus to be.
enum class PciPlug : std::uint8_t {
    conventional = 1,         // an endpoint of a conventional bus
    express = 2,              // an endpoint of an Express port
    conventional_bridge = 4,  // pci-bridge
    dmi_bridge = 8,           // dmi-to-pci-bridge
    root_port = 16,           // pcie-root-port
    express_bridge = 32,      // pcie-to-pci-bridge
};

// How a device of this controller model plugs in; nothing for a root, or a model that is not ours.
std::optional<PciPlug> plug_of_controller(std::string_view model);

class PciTopology {
  public:
    // A machine with one root bus. `may_grow`: buses that are missing are added.
    PciTopology(std::string_view root_model, bool may_grow);

    // The bus behind the controller of this index. Indices that are left out become what the
    // machine adds by itself.
    Result<> set_bus(std::uint32_t index, std::string_view model);

    // Takes the place that a definition or the chipset gives. Adding a bridge for it may move it to
    // the bus behind that bridge.
    Result<> reserve(PciAddress& address, PciPlug plug, std::string_view who);
    // The first place that fits; with `function` only slots with nothing in them. Root ports share
    // slots.
    Result<PciAddress> take(PciPlug plug, std::string_view who,
                            std::optional<std::uint8_t> function = {});
    bool in_use(std::uint8_t bus, std::uint8_t slot) const;
    // Is there a slot with nothing in it?
    bool has_room() const;

    // By index.
    std::vector<std::string_view> models() const;

  private:
    struct Kind {
        std::string_view model;
        std::uint8_t accepts;  // PciPlug
        bool automatic;        // may be given devices without an address
        std::uint8_t first_slot, last_slot;
    };
    struct Slot {
        std::uint8_t functions = 0;
        bool shared = false;  // by root ports
    };
    struct Bus {
        const Kind* kind = nullptr;
        std::uint8_t accepts = 0;
        std::array<Slot, 32> slots;
    };
    static const Kind kKinds[];
    static const Kind* kind_of(std::string_view model);

    void add_bus(std::string_view model);
    Result<> grow(PciAddress& address, PciPlug plug, std::string_view who);
    Result<> check_place(const PciAddress& address, PciPlug plug, std::string_view who) const;
    std::optional<PciAddress> find_free(std::size_t index, PciPlug plug,
                                        std::optional<std::uint8_t> function) const;
    Result<> mark(const PciAddress& address, PciPlug plug, std::string_view who);

    std::vector<Bus> buses_;
    bool may_grow_;
};

}  // namespace segue
