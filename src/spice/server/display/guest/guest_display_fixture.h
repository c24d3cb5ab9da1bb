// SPDX-License-Identifier: LGPL-2.1-or-later
// For tests: the guest half of a display with a primary surface on a fake device.
#pragma once

#include <gtest/gtest.h>
#include <spice/enums.h>

#include "spice/server/display/guest/fake_device.h"
#include "spice/server/display/guest/guest_display.h"

namespace segue::spice::server {

class CountingListener final : public DisplayListener {
  public:
    void surface_created(const Surface& surface) override {
        take_memory();
        created.push_back(surface.id);
    }
    void surface_destroyed(std::uint32_t surface) override {
        take_memory();
        destroyed.push_back(surface);
    }
    void drawn(const Drawing& drawing) override {
        take_memory();
        drawings.push_back(drawing.kind);
        rects = drawing.region.rects().size();
    }
    void monitors_changed(const MonitorsConfig&) override { ++monitors; }
    void cursor_changed(const CursorCommand&) override {
        take_memory();
        ++cursors;
    }
    void cursor_reset() override { ++cursor_resets; }
    void image_cache_reset() override {}

    std::vector<std::uint32_t> created, destroyed;
    std::vector<Drawing::Kind> drawings;
    std::size_t rects = 0;  // of the last drawing's region
    int monitors = 0;
    int cursors = 0;
    int cursor_resets = 0;
    bool is_short_of_memory = false;

  private:
    void take_memory() const {
        if (is_short_of_memory) throw std::bad_alloc();
    }
};

constexpr std::int32_t kWidth = 64;
constexpr std::int32_t kHeight = 32;

class GuestDisplayTest : public testing::Test {
  protected:
    void SetUp() override {
        display_ = std::move(GuestDisplay::make(device_, device_.geometry(), listener_).value());
        ASSERT_TRUE(display_->add_slot(device_.slot()));
        display_->set_running(true);
        PrimarySurface primary;
        primary.width = kWidth;
        primary.height = kHeight;
        primary.stride = kWidth * 4;
        primary.format = SPICE_SURFACE_FMT_32_xRGB;
        primary.group = FakeDevice::kGroup;
        std::vector<std::uint8_t> pixels(kWidth * kHeight * 4, 0xee);
        primary.memory = device_.put(std::uint64_t{}, pixels) + 8;
        ASSERT_TRUE(display_->create_primary(0, primary));
    }

    static QXLDrawable drawable(std::uint8_t type, std::int32_t left, std::int32_t top,
                                std::int32_t right, std::int32_t bottom) {
        QXLDrawable made{};
        made.type = type;
        made.bbox = {top, left, bottom, right};
        made.clip.type = SPICE_CLIP_TYPE_NONE;
        return made;
    }
    void queue_fill(std::uint32_t color, std::int32_t left, std::int32_t top, std::int32_t right,
                    std::int32_t bottom) {
        QXLDrawable fill = drawable(QXL_DRAW_FILL, left, top, right, bottom);
        fill.u.fill.brush.type = SPICE_BRUSH_TYPE_SOLID;
        fill.u.fill.brush.u.color = color;
        fill.u.fill.rop_descriptor = SPICE_ROPD_OP_PUT;
        device_.queue(QXL_CMD_DRAW, device_.put(fill));
    }
    void queue_cursor(std::int16_t x) {
        QXLCursorCmd set{};
        set.type = QXL_CURSOR_SET;
        set.u.set.visible = 1;
        set.u.set.position.x = x;
        device_.queue(QXL_CMD_CURSOR, device_.put(set));
        device_.cursor_commands.push_back(device_.commands.back());
        device_.commands.pop_back();
    }
    // A surface off screen whose memory is not blank.
    void create_surface(std::uint32_t id, std::uint32_t side, std::uint8_t flags = 0,
                        std::uint32_t format = SPICE_SURFACE_FMT_32_xRGB) {
        QXLSurfaceCmd command{};
        command.surface_id = id;
        command.type = QXL_SURFACE_CMD_CREATE;
        command.flags = flags;
        command.u.surface_create.format = format;
        command.u.surface_create.width = command.u.surface_create.height = side;
        command.u.surface_create.stride = static_cast<std::int32_t>(side * 4);
        command.u.surface_create.data =
            device_.put(std::uint64_t{}, std::vector<std::uint8_t>(side * side * 4, 0xee)) + 8;
        device_.queue(QXL_CMD_SURFACE, device_.put(command));
    }
    // A picture of 2x2 pixels of 32 bits.
    QXLPHYSICAL put_picture(std::uint8_t format, const std::array<std::uint32_t, 4>& pixels) {
        QXLImage image{};
        image.descriptor.type = SPICE_IMAGE_TYPE_BITMAP;
        image.descriptor.width = image.descriptor.height = 2;
        image.bitmap.format = format;
        image.bitmap.flags = QXL_BITMAP_DIRECT | QXL_BITMAP_TOP_DOWN;
        image.bitmap.x = image.bitmap.y = 2;
        image.bitmap.stride = 8;
        image.bitmap.data = device_.put(pixels);
        return device_.put(image);
    }
    // The surface as an image to copy from.
    QXLPHYSICAL put_surface_image(std::uint32_t id) {
        struct {
            QXLImageDescriptor descriptor;
            QXLSurfaceId surface;
        } __attribute__((packed)) image{};
        image.descriptor.type = SPICE_IMAGE_TYPE_SURFACE;
        image.surface.surface_id = id;
        return device_.put(image);
    }
    std::uint32_t pixel(std::int32_t x, std::int32_t y) const {
        const canvas::Image& image = display_->surfaces().find(0)->drawn_image();
        std::uint32_t value;
        std::memcpy(&value, image.line(y) + x * 4, sizeof value);
        return value & 0xffffff;
    }
    // What the embedder has there, whether we have drawn or not.
    std::uint32_t pixel_in_memory(std::int32_t x, std::int32_t y) const {
        std::uint32_t value;
        std::memcpy(&value, display_->surfaces().find(0)->image.line(y) + x * 4, sizeof value);
        return value & 0xffffff;
    }
    // So many commands were given back, and none twice.
    void expect_released(std::size_t commands) {
        EXPECT_EQ(device_.released.size(), commands);
        for (const auto& [info, times] : device_.released)
            EXPECT_EQ(times, 1);
    }

    FakeDevice device_{1 << 20};
    CountingListener listener_;
    std::unique_ptr<GuestDisplay> display_;
};

}  // namespace segue::spice::server
