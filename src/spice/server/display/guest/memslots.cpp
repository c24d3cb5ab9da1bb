// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/guest/memslots.h"

namespace segue::spice::server {

Result<MemorySlots> MemorySlots::make(const DisplayGeometry& geometry) {
    if (geometry.slot_groups == 0 || geometry.slot_groups > kMostGroups || geometry.slots == 0 ||
        geometry.slots > kMostSlots || geometry.slot_id_bits + geometry.generation_bits > 32) {
        return fail(ErrorCode::invalid_argument,
                    "display device: {} groups of {} memory slots with {}+{} address bits: at most "
                    "{} groups of {} slots and 32 bits",
                    geometry.slot_groups, geometry.slots, geometry.slot_id_bits,
                    geometry.generation_bits, kMostGroups, kMostSlots);
    }
    MemorySlots made;
    made.groups_ = geometry.slot_groups;
    made.slots_ = geometry.slots;
    made.generation_bits_ = geometry.generation_bits;
    made.id_bits_ = geometry.slot_id_bits;
    made.table_.resize(std::size_t{made.groups_} * made.slots_);
    return made;
}

Result<> MemorySlots::add(const MemorySlot& slot) {
    if (slot.group >= groups_ || slot.slot >= slots_) {
        return fail(ErrorCode::invalid_argument,
                    "memory slot {} of group {}: the device has {} groups of {}", slot.slot,
                    slot.group, groups_, slots_);
    }
    if (slot.end < slot.start) {
        return fail(ErrorCode::invalid_argument, "memory slot {} of group {} ends before it starts",
                    slot.slot, slot.group);
    }
    table_[std::size_t{slot.group} * slots_ + slot.slot] = Slot{true, slot};
    return {};
}

void MemorySlots::remove(std::uint32_t group, std::uint32_t slot) {
    if (group >= groups_ || slot >= slots_) return;
    table_[std::size_t{group} * slots_ + slot].used = false;
}

void MemorySlots::reset() {
    for (Slot& slot : table_)
        slot.used = false;
}

Result<std::uint8_t*> MemorySlots::translate(std::uint32_t group, QXLPHYSICAL address,
                                             std::size_t size) const {
    const unsigned offset_bits = 64 - id_bits_ - generation_bits_;
    const QXLPHYSICAL offset_mask =
        offset_bits == 64 ? ~QXLPHYSICAL{0} : (QXLPHYSICAL{1} << offset_bits) - 1;
    const std::uint64_t id = id_bits_ == 0 ? 0 : address >> (64 - id_bits_);
    const std::uint64_t generation =
        generation_bits_ == 0
            ? 0
            : (address >> offset_bits) & ((std::uint64_t{1} << generation_bits_) - 1);
    if (group >= groups_ || id >= slots_) {
        return fail(ErrorCode::protocol, "guest address {:#x}: no slot {} in group {}", address, id,
                    group);
    }
    const Slot& slot = table_[std::size_t{group} * slots_ + id];
    if (!slot.used || slot.range.generation != generation) {
        return fail(ErrorCode::protocol,
                    "guest address {:#x}: slot {} of group {} is free or has another generation",
                    address, id, group);
    }
    const std::uint64_t at = (address & offset_mask) + slot.range.address_delta;
    if (at < slot.range.start || at > slot.range.end || size > slot.range.end - at) {
        return fail(ErrorCode::protocol, "guest address {:#x}: {} bytes leave slot {} of group {}",
                    address, size, id, group);
    }
    return reinterpret_cast<std::uint8_t*>(at);
}

}  // namespace segue::spice::server
