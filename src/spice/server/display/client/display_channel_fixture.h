// SPDX-License-Identifier: LGPL-2.1-or-later
// For tests: a display channel whose guest draws what the test says, and what goes to its client.
#pragma once

#include <gtest/gtest.h>
#include <spice/enums.h>

#include <memory>
#include <vector>

#include "spice/server/display/client/display_channel.h"
#include "spice/server/display/guest/fake_device.h"
#include "spice/server/fake_client.h"

namespace segue::spice::server {

namespace display = wire::display;

// An image that the guest keeps: its id.
inline constexpr std::uint64_t kIcon = 77ull << 32;

// What went out, as messages; `blocked` is a client that takes nothing.
class DisplayOutput final : public ChannelOutput {
  public:
    void write(std::vector<wire::SharedBytes> pieces) override {
        for (const wire::SharedBytes& piece : pieces)
            reader_.feed(piece.view());
        while (auto message = reader_.next().value())
            messages.push_back(std::move(*message));
    }
    std::size_t waiting() const override { return blocked ? Channel::kMostWaiting : 0; }

    std::vector<std::uint16_t> take_numbers() {
        std::vector<std::uint16_t> numbers;
        for (const wire::IncomingMessage& message : messages)
            numbers.push_back(message.number);
        messages.clear();
        return numbers;
    }

    bool blocked = false;
    std::vector<wire::IncomingMessage> messages;

  private:
    wire::MessageReader reader_{wire::HeaderKind::mini, 64u << 20};
};

class DisplayChannelTest : public testing::Test, private DisplayListener {
  protected:
    void SetUp() override {
        guest_ = std::move(GuestDisplay::make(device_, device_.geometry(), *this).value());
        ASSERT_TRUE(guest_->add_slot(device_.slot()));
        guest_->set_running(true);
        create_primary(64, 32);
        channel_ = make_channel(output_, false);
    }

    void create_primary(std::uint32_t width, std::uint32_t height, bool keep_data = false) {
        PrimarySurface primary;
        primary.width = width;
        primary.height = height;
        primary.stride = static_cast<std::int32_t>(width * 4);
        primary.format = SPICE_SURFACE_FMT_32_xRGB;
        primary.group = FakeDevice::kGroup;
        primary.memory = FakeDevice::kBase;
        primary.keep_data = keep_data;
        device_.used = std::max<std::size_t>(device_.used, std::size_t{width} * height * 4);
        ASSERT_TRUE(guest_->create_primary(0, primary));
    }
    std::unique_ptr<DisplayChannel> make_channel(DisplayOutput& output, bool expects_data,
                                                 std::uint8_t id = 0) {
        ChannelSetup setup;
        setup.client_caps = client_caps_;
        setup.key = {wire::ChannelType::display, id};
        setup.expects_data = expects_data;
        auto made =
            std::make_unique<DisplayChannel>(setup, output, *guest_, options_, caches_, clock_);
        made->start();
        return made;
    }
    void init() {
        ASSERT_TRUE(channel_->receive(from_client(display::Init{})));
        output_.messages.clear();
    }
    void fill(std::int32_t left, std::int32_t top, std::int32_t right, std::int32_t bottom,
              std::uint32_t surface = 0, std::uint32_t color = 0xabcdef) {
        QXLDrawable drawable{};
        drawable.type = QXL_DRAW_FILL;
        drawable.surface_id = surface;
        drawable.bbox = {top, left, bottom, right};
        drawable.u.fill.brush.type = SPICE_BRUSH_TYPE_SOLID;
        drawable.u.fill.brush.u.color = color;
        drawable.u.fill.rop_descriptor = SPICE_ROPD_OP_PUT;
        device_.queue(QXL_CMD_DRAW, device_.put(drawable));
        guest_->drain();
    }
    void move(std::int32_t left, std::int32_t top, std::int32_t right, std::int32_t bottom,
              QXLPoint from) {
        QXLDrawable drawable{};
        drawable.type = QXL_COPY_BITS;
        drawable.bbox = {top, left, bottom, right};
        drawable.u.copy_bits.src_pos = from;
        device_.queue(QXL_CMD_DRAW, device_.put(drawable));
        guest_->drain();
    }

    // An image in guest memory: `seed` makes its pixels, `noisy` ones like a photo's.
    QXLPHYSICAL put_image(std::uint64_t id, std::uint8_t flags, std::uint32_t width,
                          std::uint32_t height, unsigned seed, bool noisy = false) {
        std::vector<std::uint8_t> pixels(std::size_t{width} * height * 4);
        for (std::size_t at = 0; at < pixels.size(); ++at) {
            seed = seed * 1103515245u + 12345u;
            pixels[at] = static_cast<std::uint8_t>(noisy ? 100 + (seed >> 16) % 7
                                                         : (at / 512 * 40 + seed / 9999) & 0xf0);
        }
        struct {
            QXLImageDescriptor descriptor;
            QXLBitmap bitmap;
        } __attribute__((packed)) image{};
        image.descriptor.id = id;
        image.descriptor.type = SPICE_IMAGE_TYPE_BITMAP;
        image.descriptor.flags = flags;
        image.descriptor.width = width;
        image.descriptor.height = height;
        image.bitmap.format = SPICE_BITMAP_FMT_32BIT;
        image.bitmap.flags = QXL_BITMAP_DIRECT | QXL_BITMAP_TOP_DOWN;
        image.bitmap.x = width;
        image.bitmap.y = height;
        image.bitmap.stride = width * 4;
        image.bitmap.data = device_.put(std::uint64_t{0}, pixels) + 8;
        return device_.put(image);
    }
    void copy(QXLPHYSICAL image, std::int32_t left, std::int32_t top, std::int32_t width,
              std::int32_t height, std::uint32_t surface = 0) {
        QXLDrawable drawable{};
        drawable.type = QXL_DRAW_COPY;
        drawable.surface_id = surface;
        drawable.bbox = {top, left, top + height, left + width};
        drawable.u.copy.src_bitmap = image;
        drawable.u.copy.src_area = {0, 0, height, width};
        drawable.u.copy.rop_descriptor = SPICE_ROPD_OP_PUT;
        device_.queue(QXL_CMD_DRAW, device_.put(drawable));
        guest_->drain();
    }
    // A surface off screen, black.
    void create_surface(std::uint32_t id, std::uint32_t side) {
        QXLSurfaceCmd command{};
        command.surface_id = id;
        command.type = QXL_SURFACE_CMD_CREATE;
        command.u.surface_create.format = SPICE_SURFACE_FMT_32_xRGB;
        command.u.surface_create.width = command.u.surface_create.height = side;
        command.u.surface_create.stride = static_cast<std::int32_t>(side * 4);
        command.u.surface_create.data =
            device_.put(std::uint64_t{0}, std::vector<std::uint8_t>(side * side * 4, 0xee)) + 8;
        device_.queue(QXL_CMD_SURFACE, device_.put(command));
        guest_->drain();
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
    // The images of the DRAW_COPYs that went out.
    std::vector<display::Image> take_images() {
        std::vector<display::Image> images;
        for (const wire::IncomingMessage& message : output_.messages) {
            if (message.number != display::DrawCopy::kFromServer) continue;
            auto parsed = wire::parse<display::DrawCopy>(message.body);
            EXPECT_TRUE(parsed);
            if (parsed) images.push_back(std::move(parsed->source));
        }
        output_.messages.clear();
        return images;
    }

    SystemClock clock_;
    EncoderOptions options_;
    wire::Capabilities client_caps_;
    std::shared_ptr<ClientCaches> caches_ = std::make_shared<ClientCaches>();
    FakeDevice device_{4 << 20};
    std::unique_ptr<GuestDisplay> guest_;
    DisplayOutput output_;
    std::unique_ptr<DisplayChannel> channel_;

  private:
    void surface_created(const Surface& surface) override {
        if (channel_) channel_->surface_created(surface.id);
    }
    void surface_destroyed(std::uint32_t) override {}
    void drawn(const Drawing& drawing) override {
        if (channel_) channel_->drawn(drawing);
    }
    void monitors_changed(const MonitorsConfig&) override {}
    void cursor_changed(const CursorCommand&) override {}
    void cursor_reset() override {}
    void image_cache_reset() override {}
};

}  // namespace segue::spice::server
