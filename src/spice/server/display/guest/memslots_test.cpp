// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/guest/memslots.h"

#include <gtest/gtest.h>

#include <array>

namespace segue::spice::server {
namespace {

// As QEMU's devices describe themselves.
DisplayGeometry qemu_geometry() {
    DisplayGeometry geometry;
    geometry.slot_groups = 2;
    geometry.slots = 8;
    geometry.generation_bits = 8;
    geometry.slot_id_bits = 8;
    return geometry;
}

class MemorySlotsTest : public testing::Test {
  protected:
    void SetUp() override {
        slots_ = MemorySlots::make(qemu_geometry());
        ASSERT_TRUE(slots_);
        MemorySlot slot;
        slot.group = 1;
        slot.slot = 2;
        slot.start = reinterpret_cast<std::uintptr_t>(memory_.data());
        slot.end = slot.start + memory_.size();
        slot.address_delta = slot.start - 0x1000;
        ASSERT_TRUE(slots_->add(slot));
    }

    std::array<std::uint8_t, 256> memory_{};
    Result<MemorySlots> slots_ = fail(ErrorCode::internal, "not made");
    static constexpr QXLPHYSICAL kBase = QXLPHYSICAL{2} << 56 | 0x1000;
};

TEST_F(MemorySlotsTest, AnAddressInsideIsFound) {
    EXPECT_EQ(slots_->translate(1, kBase, 256).value(), memory_.data());
    EXPECT_EQ(slots_->translate(1, kBase + 255, 1).value(), memory_.data() + 255);
}

TEST_F(MemorySlotsTest, WhatLeavesTheSlotIsRefused) {
    EXPECT_FALSE(slots_->translate(1, kBase, 257));
    EXPECT_FALSE(slots_->translate(1, kBase + 256, 1));
    EXPECT_FALSE(slots_->translate(1, kBase - 1, 1));
    EXPECT_FALSE(slots_->translate(1, kBase + 10, SIZE_MAX));
    EXPECT_FALSE(slots_->translate(1, QXLPHYSICAL{2} << 56 | 0xffffffffffff, 1));
}

TEST_F(MemorySlotsTest, OtherSlotsGroupsAndGenerationsAreRefused) {
    EXPECT_FALSE(slots_->translate(0, kBase, 1));
    EXPECT_FALSE(slots_->translate(2, kBase, 1));
    EXPECT_FALSE(
        slots_->translate(1, (kBase & ~(QXLPHYSICAL{255} << 56)) | QXLPHYSICAL{9} << 56, 1));
    EXPECT_FALSE(slots_->translate(1, kBase | QXLPHYSICAL{1} << 48, 1));
}

TEST_F(MemorySlotsTest, ARemovedSlotIsGone) {
    slots_->remove(1, 2);
    EXPECT_FALSE(slots_->translate(1, kBase, 1));
}

TEST_F(MemorySlotsTest, TheHostSlotTakesPlainPointers) {
    MemorySlot host;
    host.end = UINTPTR_MAX;
    ASSERT_TRUE(slots_->add(host));
    const auto address = reinterpret_cast<QXLPHYSICAL>(memory_.data());
    EXPECT_EQ(slots_->translate(0, address, 256).value(), memory_.data());
}

TEST(MemorySlots, GeometriesAreBounded) {
    DisplayGeometry geometry = qemu_geometry();
    geometry.slots = 0;
    EXPECT_FALSE(MemorySlots::make(geometry));
    geometry = qemu_geometry();
    geometry.slot_id_bits = 40;
    EXPECT_FALSE(MemorySlots::make(geometry));
    MemorySlot slot;
    slot.slot = 99;
    EXPECT_FALSE(MemorySlots::make(qemu_geometry())->add(slot));
}

}  // namespace
}  // namespace segue::spice::server
