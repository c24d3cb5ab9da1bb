// SPDX-License-Identifier: LGPL-2.1-or-later
// Surfaces, cursor and monitors of a guest, and what is asked of them.
#include "spice/codec/picture.h"
#include "spice/server/display/guest/guest_display_fixture.h"

namespace segue::spice::server {
namespace {

TEST_F(GuestDisplayTest, ANewPrimarySurfaceIsBlack) {
    EXPECT_EQ(pixel(0, 0), 0u);
    EXPECT_EQ(listener_.created, std::vector<std::uint32_t>{0});
}

TEST_F(GuestDisplayTest, ASurfaceOffScreenIsBlankUnlessItKeepsItsPixels) {
    create_surface(1, 8);
    create_surface(2, 8, QXL_SURF_FLAG_KEEP_DATA);
    EXPECT_FALSE(display_->take_commands(100));
    const Surface& blank = *display_->surfaces().find(1);
    EXPECT_TRUE(blank.is_blank);
    EXPECT_EQ(*blank.image.line(7), 0);
    EXPECT_FALSE(display_->surfaces().find(2)->is_blank);
    EXPECT_EQ(*display_->surfaces().find(2)->image.line(7), 0xee);

    QXLDrawable copy = drawable(QXL_DRAW_COPY, 0, 0, 8, 8);
    copy.u.copy.src_bitmap = put_surface_image(2);
    copy.u.copy.src_area = {0, 0, 8, 8};
    copy.u.copy.rop_descriptor = SPICE_ROPD_OP_PUT;
    device_.queue(QXL_CMD_DRAW, device_.put(copy));
    copy.surface_id = 2;  // onto itself
    device_.queue(QXL_CMD_DRAW, device_.put(copy));
    EXPECT_FALSE(display_->take_commands(100));
    EXPECT_EQ(pixel(0, 0), 0xeeeeeeu);
    EXPECT_EQ(listener_.drawings, (std::vector{Drawing::Kind::surface, Drawing::Kind::pixels}));
}

TEST_F(GuestDisplayTest, ASurfaceKeepsItsCommandUntilItGoes) {
    QXLSurfaceCmd create{};
    create.surface_id = 3;
    create.type = QXL_SURFACE_CMD_CREATE;
    create.u.surface_create.format = SPICE_SURFACE_FMT_32_ARGB;
    create.u.surface_create.width = create.u.surface_create.height = 4;
    create.u.surface_create.stride = 16;
    create.u.surface_create.data = device_.put(std::array<std::uint8_t, 64>{});
    device_.queue(QXL_CMD_SURFACE, device_.put(create));
    EXPECT_FALSE(display_->take_commands(100));
    ASSERT_NE(display_->surfaces().find(3), nullptr);
    expect_released(0);
    QXLSurfaceCmd destroy{};
    destroy.surface_id = 3;
    destroy.type = QXL_SURFACE_CMD_DESTROY;
    device_.queue(QXL_CMD_SURFACE, device_.put(destroy));
    EXPECT_FALSE(display_->take_commands(100));
    EXPECT_EQ(display_->surfaces().find(3), nullptr);
    expect_released(2);
    EXPECT_EQ(listener_.destroyed, std::vector<std::uint32_t>{3});
}

TEST_F(GuestDisplayTest, UpdateAreaTellsWhatWasDrawnOnce) {
    queue_fill(1, 0, 0, 8, 8);
    queue_fill(1, 40, 20, 48, 28);
    const QXLRect left_half{0, 0, kHeight, kWidth / 2};
    const auto dirty = display_->update_area(0, left_half, true);
    ASSERT_EQ(dirty.size(), 1u) << "the ring was drawn first";
    EXPECT_EQ(dirty[0].right, 8);
    EXPECT_TRUE(display_->update_area(0, left_half, true).empty());
    EXPECT_EQ(display_->update_area(0, {0, 0, kHeight, kWidth}, true).size(), 1u);
    EXPECT_TRUE(display_->update_area(9, left_half, true).empty());
}

TEST_F(GuestDisplayTest, AStoppedMachinesRingIsNotTouched) {
    queue_fill(1, 0, 0, 8, 8);
    display_->set_running(false);
    display_->drain();
    EXPECT_EQ(device_.commands.size(), 1u);
    display_->set_running(true);
    display_->drain();
    EXPECT_TRUE(device_.commands.empty());
}

TEST_F(GuestDisplayTest, TheCursorsCommandIsKeptUntilTheNext) {
    for (std::int16_t turn = 0; turn < 3; ++turn)
        queue_cursor(turn);
    EXPECT_FALSE(display_->take_commands(100));
    EXPECT_EQ(display_->cursor().x, 2);
    expect_released(2);
    display_->reset_cursor();
    expect_released(3);
}

// What was noted before somebody else ran out of memory is given back once: when it goes.
TEST_F(GuestDisplayTest, WhereMemoryIsShortEachCommandIsGivenBackOnce) {
    listener_.is_short_of_memory = true;
    create_surface(3, 4);
    queue_cursor(1);
    EXPECT_FALSE(display_->take_commands(100));
    EXPECT_EQ(display_->commands_refused(), 2u);
    ASSERT_NE(display_->surfaces().find(3), nullptr);
    expect_released(0);
    QXLSurfaceCmd destroy{};
    destroy.surface_id = 3;
    destroy.type = QXL_SURFACE_CMD_DESTROY;
    device_.queue(QXL_CMD_SURFACE, device_.put(destroy));
    queue_cursor(2);
    EXPECT_FALSE(display_->take_commands(100));
    EXPECT_EQ(display_->surfaces().find(3), nullptr);
    expect_released(3);
    display_->reset_cursor();
    expect_released(4);
}

// A driver that destroys all surfaces uses all its memory anew.
TEST_F(GuestDisplayTest, TheCursorGoesWithAllSurfaces) {
    queue_cursor(1);
    EXPECT_FALSE(display_->take_commands(100));
    expect_released(0);
    queue_cursor(2);
    display_->destroy_surfaces();
    EXPECT_TRUE(device_.cursor_commands.empty());
    expect_released(2);
    EXPECT_EQ(display_->cursor().x, 0);
    EXPECT_EQ(listener_.cursor_resets, 1);
}

TEST_F(GuestDisplayTest, MonitorsComeFromGuestMemory) {
    QXLMonitorsConfig config{};
    config.count = 1;
    QXLHead head{};
    head.width = 64;
    head.height = 32;
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&head);
    ASSERT_TRUE(
        display_->set_monitors(FakeDevice::kGroup, device_.put(config, {bytes, sizeof head}), 4));
    EXPECT_EQ(display_->monitors()->heads.size(), 1u);
    EXPECT_EQ(display_->monitors()->most, 4);
    config.count = 0xffff;
    EXPECT_FALSE(display_->set_monitors(FakeDevice::kGroup, device_.put(config), 4));
    config.count = 3;
    config.max_allowed = 2;
    const std::vector<std::uint8_t> heads(3 * sizeof head);
    EXPECT_FALSE(display_->set_monitors(FakeDevice::kGroup, device_.put(config, heads), 4));
    config.max_allowed = 3;
    EXPECT_TRUE(display_->set_monitors(FakeDevice::kGroup, device_.put(config, heads), 2));
    EXPECT_EQ(display_->monitors()->most, 2);
    EXPECT_EQ(display_->monitors()->heads.size(), 2u) << "no more than the embedder allows";
}

TEST_F(GuestDisplayTest, APrimaryOutsideMemoryIsRefused) {
    display_->destroy_primary(0);
    PrimarySurface primary;
    primary.width = 4096;
    primary.height = 4096;
    primary.stride = 4096 * 4;
    primary.format = SPICE_SURFACE_FMT_32_xRGB;
    primary.group = FakeDevice::kGroup;
    primary.memory = FakeDevice::kBase;
    EXPECT_FALSE(display_->create_primary(0, primary));
    primary.width = 0;
    EXPECT_FALSE(display_->create_primary(0, primary));
    primary.width = codec::kMaxSide + 1;
    primary.height = 1;
    primary.stride = static_cast<std::int32_t>(primary.width) * 4;
    EXPECT_FALSE(display_->create_primary(0, primary)) << "no image of it could be sent";
    --primary.width;
    EXPECT_TRUE(display_->create_primary(0, primary));
}

}  // namespace
}  // namespace segue::spice::server
