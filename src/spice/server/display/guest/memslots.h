// SPDX-License-Identifier: LGPL-2.1-or-later
// Guest addresses: [slot id | generation | offset] within a group of memory slots. Everything a
// guest names goes through translate(); what lies outside its slot is refused.
#pragma once

#include <span>
#include <vector>

#include "base/result.h"
#include "spice/server/device.h"

namespace segue::spice::server {

class MemorySlots {
  public:
    // More than any device has: QEMU uses 2 groups of 8.
    static constexpr std::uint32_t kMostGroups = 16;
    static constexpr std::uint32_t kMostSlots = 256;

    static Result<MemorySlots> make(const DisplayGeometry& geometry);

    Result<> add(const MemorySlot& slot);
    void remove(std::uint32_t group, std::uint32_t slot);
    void reset();

    // The embedder's memory behind [address, address + size). Valid until the slot goes; the guest
    // may write to it at any time, so a parser copies first and validates the copy.
    Result<std::uint8_t*> translate(std::uint32_t group, QXLPHYSICAL address,
                                    std::size_t size) const;

  private:
    struct Slot {
        bool used = false;
        MemorySlot range;
    };

    std::uint32_t groups_ = 0;
    std::uint32_t slots_ = 0;
    unsigned generation_bits_ = 0;
    unsigned id_bits_ = 0;
    std::vector<Slot> table_;
};

}  // namespace segue::spice::server
