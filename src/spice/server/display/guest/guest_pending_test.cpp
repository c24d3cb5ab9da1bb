// SPDX-License-Identifier: LGPL-2.1-or-later
// What waits until somebody looks.
#include "spice/server/display/guest/guest_display_fixture.h"

namespace segue::spice::server {
namespace {

using GuestPending = GuestDisplayTest;

TEST_F(GuestPending, AFillWaitsUntilSomebodyLooks) {
    const auto draw = [this](std::uint32_t color) {
        device_.released.clear();
        queue_fill(color, 0, 0, 8, 8);
        EXPECT_FALSE(display_->take_commands(100));
        EXPECT_NE(pixel_in_memory(0, 0), color);
        expect_released(0);
    };
    const auto expect_drawn = [this](std::uint32_t color) {
        EXPECT_EQ(pixel_in_memory(0, 0), color);
        expect_released(1);
    };
    draw(1);
    EXPECT_EQ(pixel(0, 0), 1u);
    expect_drawn(1);
    draw(2);
    display_->update_area(0, {0, 0, 1, 1}, false);
    expect_drawn(2);
    draw(3);
    display_->draw_pending();
    expect_drawn(3);
    draw(4);
    display_->remove_slot(FakeDevice::kGroup, 3);
    expect_drawn(4);
    draw(5);
    display_->set_running(false);
    expect_drawn(5);
    display_->set_running(true);
    draw(6);
    // What inverts looks at what is there.
    QXLDrawable invert = drawable(QXL_DRAW_INVERS, 4, 4, 12, 12);
    device_.queue(QXL_CMD_DRAW, device_.put(invert));
    EXPECT_FALSE(display_->take_commands(100));
    EXPECT_EQ(pixel_in_memory(4, 4), 0xfffff9u);
    EXPECT_EQ(pixel_in_memory(0, 0), 6u);
    expect_released(2);
}

TEST_F(GuestPending, WhoReadsASurfaceSeesWhatWasPendingThere) {
    create_surface(1, 8);
    QXLDrawable fill = drawable(QXL_DRAW_FILL, 0, 0, 8, 8);
    fill.surface_id = 1;
    fill.u.fill.brush.type = SPICE_BRUSH_TYPE_SOLID;
    fill.u.fill.brush.u.color = 0x445566;
    fill.u.fill.rop_descriptor = SPICE_ROPD_OP_PUT;
    device_.queue(QXL_CMD_DRAW, device_.put(fill));
    queue_fill(0x112233, 0, 0, 16, 16);
    QXLDrawable copy = drawable(QXL_DRAW_COPY, 4, 4, 12, 12);
    copy.u.copy.src_bitmap = put_surface_image(1);
    copy.u.copy.src_area = {0, 0, 8, 8};
    copy.u.copy.rop_descriptor = SPICE_ROPD_OP_PUT;
    device_.queue(QXL_CMD_DRAW, device_.put(copy));
    EXPECT_FALSE(display_->take_commands(100));
    // What the copy reads is drawn at once, and kept as it was then.
    std::uint32_t read;
    std::memcpy(&read, display_->surfaces().find(1)->image.line(0), sizeof read);
    EXPECT_EQ(read, 0x445566u);
    EXPECT_EQ(device_.released.size(), 1u);
    fill.u.fill.brush.u.color = 0x778899;
    device_.queue(QXL_CMD_DRAW, device_.put(fill));
    EXPECT_FALSE(display_->take_commands(100));
    display_->draw_pending();
    EXPECT_EQ(pixel_in_memory(4, 4), 0x445566u);
    EXPECT_EQ(pixel_in_memory(3, 3), 0x112233u);
    expect_released(4);
}

TEST_F(GuestPending, ASurfaceThatGoesIsDrawnFirst) {
    create_surface(1, 8);
    QXLDrawable fill = drawable(QXL_DRAW_FILL, 0, 0, 8, 8);
    fill.surface_id = 1;
    fill.u.fill.brush.type = SPICE_BRUSH_TYPE_SOLID;
    fill.u.fill.brush.u.color = 0x445566;
    fill.u.fill.rop_descriptor = SPICE_ROPD_OP_PUT;
    device_.queue(QXL_CMD_DRAW, device_.put(fill));
    EXPECT_FALSE(display_->take_commands(100));
    const std::uint8_t* memory = display_->surfaces().find(1)->image.line(0);
    expect_released(0);
    display_->destroy_surface(1);
    EXPECT_EQ(*memory, 0x66);
    expect_released(2);
}

// Off screen each could keep more, all together not.
TEST_F(GuestPending, TooMuchOnAllSurfacesTogetherIsDrawn) {
    constexpr std::uint32_t kSide = 2000;
    constexpr std::size_t kBytes = std::size_t{kSide} * kSide * 4;
    static_assert(kBytes < PendingDrawings::kMostBytes);
    constexpr std::uint32_t kEnough = PendingTotal::kMostBytes / kBytes;
    auto total = std::make_shared<PendingTotal>();
    FakeDevice device(kBytes + (std::size_t{1} << 20));
    const auto made = [&](DisplayListener& listener) {
        auto display = GuestDisplay::make(device, device.geometry(), listener, total).value();
        EXPECT_TRUE(display->add_slot(device.slot()));
        display->set_running(true);
        return display;
    };
    const auto display = made(listener_);
    QXLImage image{};
    image.descriptor.type = SPICE_IMAGE_TYPE_BITMAP;
    image.bitmap.format = SPICE_BITMAP_FMT_32BIT;
    image.bitmap.flags = QXL_BITMAP_DIRECT | QXL_BITMAP_TOP_DOWN;
    image.bitmap.x = image.bitmap.y = kSide;
    image.bitmap.stride = kSide * 4;
    image.bitmap.data = device.put(std::uint64_t{0}, std::vector<std::uint8_t>(kBytes, 0x55)) + 8;
    QXLDrawable copy = drawable(QXL_DRAW_COPY, 0, 0, 8, 8);
    copy.u.copy.src_bitmap = device.put(image);
    copy.u.copy.src_area = {0, 0, 8, 8};
    copy.u.copy.rop_descriptor = SPICE_ROPD_OP_PUT;
    const auto paint = [&](GuestDisplay& shown, std::uint32_t surface) {
        PrimarySurface memory;
        memory.width = memory.height = 8;
        memory.stride = 32;
        memory.format = SPICE_SURFACE_FMT_32_xRGB;
        memory.group = FakeDevice::kGroup;
        memory.memory = device.put(std::uint64_t{0}, std::vector<std::uint8_t>(256)) + 8;
        ASSERT_TRUE(shown.create_primary(surface, memory));
        copy.surface_id = surface;
        device.queue(QXL_CMD_DRAW, device.put(copy));
        EXPECT_FALSE(shown.take_commands(100));
    };
    for (std::uint32_t surface = 0; surface < kEnough; ++surface)
        paint(*display, surface);
    EXPECT_TRUE(device.released.empty());
    EXPECT_LT(total->bytes(), PendingTotal::kMostBytes);
    {
        // What the server's other display has counts, too: it has no place for its own.
        CountingListener other_listener;
        const auto other = made(other_listener);
        paint(*other, 0);
        EXPECT_EQ(device.released.size(), 1u);
    }
    paint(*display, kEnough);
    EXPECT_EQ(device.released.size(), kEnough + 2u);
    EXPECT_EQ(total->bytes(), 0u);
    for (std::uint32_t surface = 0; surface <= kEnough; ++surface)
        EXPECT_EQ(*display->surfaces().find(surface)->image.line(7), 0x55) << surface;
}

TEST_F(GuestPending, WhatGoesWithItsDisplayIsCountedNoMore) {
    auto total = std::make_shared<PendingTotal>();
    auto display = GuestDisplay::make(device_, device_.geometry(), listener_, total).value();
    ASSERT_TRUE(display->add_slot(device_.slot()));
    PrimarySurface primary;
    primary.width = primary.height = 8;
    primary.stride = 32;
    primary.format = SPICE_SURFACE_FMT_32_xRGB;
    primary.group = FakeDevice::kGroup;
    primary.memory = device_.put(std::uint64_t{0}, std::vector<std::uint8_t>(256)) + 8;
    ASSERT_TRUE(display->create_primary(0, primary));
    queue_fill(1, 0, 0, 8, 8);
    EXPECT_FALSE(display->take_commands(100));
    EXPECT_GT(total->bytes(), 0u);
    queue_fill(2, 0, 0, 4, 8);
    queue_fill(3, 0, 0, 8, 8);  // over both
    EXPECT_FALSE(display->take_commands(100));
    EXPECT_LE(total->bytes(), sizeof(PendingDrawing) + 512);
    display.reset();
    EXPECT_EQ(total->bytes(), 0u);
}

TEST_F(GuestPending, AnUpdateShowsAllThatCameBeforeItInItsOrder) {
    queue_fill(1, 0, 0, 8, 8);
    QXLDrawable move = drawable(QXL_COPY_BITS, 16, 0, 24, 8);
    move.u.copy_bits.src_pos = {0, 0};
    device_.queue(QXL_CMD_DRAW, device_.put(move));
    queue_fill(2, 0, 0, 8, 8);
    EXPECT_EQ(display_->update_area(0, {0, 0, kHeight, kWidth}, true).size(), 2u);
    EXPECT_EQ(pixel_in_memory(0, 0), 2u);
    EXPECT_EQ(pixel_in_memory(16, 0), 1u);
    expect_released(3);
    queue_fill(3, 0, 0, 8, 8);
    EXPECT_FALSE(display_->take_commands(100));
    EXPECT_EQ(pixel_in_memory(0, 0), 2u) << "it came behind the update";
    EXPECT_EQ(display_->update_area(0, {0, 0, 1, 1}, true).size(), 1u);
    EXPECT_EQ(pixel_in_memory(0, 0), 3u);
    EXPECT_EQ(pixel_in_memory(7, 7), 3u);
}

// Its pixels went on to another surface, and back; both surfaces had more that was pending.
TEST_F(GuestPending, WhatWasCopiedFromASurfaceStaysWhenThatGoes) {
    create_surface(1, 8);
    const auto fill = [&](std::uint32_t surface, std::uint32_t color, QXLRect rect) {
        QXLDrawable made = drawable(QXL_DRAW_FILL, rect.left, rect.top, rect.right, rect.bottom);
        made.surface_id = surface;
        made.u.fill.brush.type = SPICE_BRUSH_TYPE_SOLID;
        made.u.fill.brush.u.color = color;
        made.u.fill.rop_descriptor = SPICE_ROPD_OP_PUT;
        device_.queue(QXL_CMD_DRAW, device_.put(made));
    };
    const auto copy = [&](std::uint32_t from, std::uint32_t to, std::int32_t at) {
        QXLDrawable made = drawable(QXL_DRAW_COPY, at, 0, at + 4, 4);
        made.surface_id = to;
        made.u.copy.src_bitmap = put_surface_image(from);
        made.u.copy.src_area = {0, 0, 4, 4};
        made.u.copy.rop_descriptor = SPICE_ROPD_OP_PUT;
        device_.queue(QXL_CMD_DRAW, device_.put(made));
    };
    fill(1, 1, {0, 0, 8, 8});
    fill(0, 2, {0, 0, 8, 8});
    copy(1, 0, 8);  // 1 on the screen
    fill(1, 3, {0, 0, 8, 8});
    copy(0, 1, 0);  // 2 off the screen
    fill(0, 4, {0, 0, 4, 4});
    copy(1, 0, 16);  // and on it again
    fill(1, 5, {0, 0, 8, 8});
    EXPECT_FALSE(display_->take_commands(100));
    display_->destroy_surface(1);
    EXPECT_EQ(pixel(0, 0), 4u);
    EXPECT_EQ(pixel(4, 0), 2u);
    EXPECT_EQ(pixel(8, 0), 1u);
    EXPECT_EQ(pixel(16, 0), 2u);
    expect_released(9);
}

}  // namespace
}  // namespace segue::spice::server
