// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/client/display_channel.h"

#include <gtest/gtest.h>
#include <spice/enums.h>

#include "spice/server/display/client/display_blob.h"
#include "spice/server/display/guest/fake_device.h"

namespace segue::spice::server {
namespace {

namespace display = wire::display;

// What went out, as messages; `blocked` is a client that takes nothing.
class Output final : public ChannelOutput {
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

template <class Message>
Bytes from_client(const Message& message) {
    wire::MessageWriter writer(wire::HeaderKind::mini);
    std::vector<wire::SharedBytes> pieces;
    writer.frame(wire::encode_from_client(message), pieces);
    return wire::flatten(pieces);
}

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
    std::unique_ptr<DisplayChannel> make_channel(Output& output, bool expects_data) {
        ChannelSetup setup;
        setup.key.type = wire::ChannelType::display;
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
    void fill(std::int32_t left, std::int32_t top, std::int32_t right, std::int32_t bottom) {
        QXLDrawable drawable{};
        drawable.type = QXL_DRAW_FILL;
        drawable.bbox = {top, left, bottom, right};
        drawable.u.fill.brush.type = SPICE_BRUSH_TYPE_SOLID;
        drawable.u.fill.brush.u.color = 0xabcdef;
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
              std::int32_t height) {
        QXLDrawable drawable{};
        drawable.type = QXL_DRAW_COPY;
        drawable.bbox = {top, left, top + height, left + width};
        drawable.u.copy.src_bitmap = image;
        drawable.u.copy.src_area = {0, 0, height, width};
        drawable.u.copy.rop_descriptor = SPICE_ROPD_OP_PUT;
        device_.queue(QXL_CMD_DRAW, device_.put(drawable));
        guest_->drain();
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
    std::shared_ptr<ClientCaches> caches_ = std::make_shared<ClientCaches>();
    FakeDevice device_{4 << 20};
    std::unique_ptr<GuestDisplay> guest_;
    Output output_;
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

TEST_F(DisplayChannelTest, NothingIsShownBeforeTheClientsInit) {
    channel_->pump();
    EXPECT_EQ(output_.take_numbers(), std::vector<std::uint16_t>{3});  // SET_ACK
    ASSERT_TRUE(channel_->receive(from_client(display::Init{})));
    EXPECT_EQ(output_.take_numbers(),
              (std::vector<std::uint16_t>{
                  display::InvalAllPalettes::kFromServer, display::SurfaceCreate::kFromServer,
                  display::DrawCopy::kFromServer, display::Mark::kFromServer}));
}

TEST_F(DisplayChannelTest, ASecondInitIsRefused) {
    init();
    EXPECT_FALSE(channel_->receive(from_client(display::Init{})));
}

TEST_F(DisplayChannelTest, AFillGoesOutAsItIs) {
    init();
    fill(0, 0, 8, 8);
    EXPECT_EQ(output_.take_numbers(), std::vector<std::uint16_t>{display::DrawFill::kFromServer});
    EXPECT_TRUE(channel_->knowledge().surfaces.at(0).stale.empty());
}

TEST_F(DisplayChannelTest, WhatTheClientLacksOfAMoveItLacksThereToo) {
    init();
    move(32, 0, 40, 8, {0, 0});
    EXPECT_EQ(output_.take_numbers(), std::vector<std::uint16_t>{display::CopyBits::kFromServer});
    output_.blocked = true;
    fill(0, 0, 2, 8);
    output_.blocked = false;
    move(48, 0, 56, 8, {0, 0});
    EXPECT_EQ(output_.take_numbers(), std::vector<std::uint16_t>{display::CopyBits::kFromServer});
    EXPECT_TRUE(channel_->knowledge().surfaces.at(0).stale.covers({48, 0, 50, 8}));
    EXPECT_FALSE(channel_->knowledge().surfaces.at(0).stale.contains({50, 0}));
    // Of this one it lacks all.
    output_.blocked = true;
    fill(0, 16, 8, 24);
    output_.blocked = false;
    move(32, 16, 40, 24, {0, 16});
    EXPECT_TRUE(output_.take_numbers().empty());
    channel_->pump();
    for (const std::uint16_t number : output_.take_numbers())
        EXPECT_EQ(number, display::DrawCopy::kFromServer);
    EXPECT_TRUE(channel_->knowledge().surfaces.at(0).stale.empty());
}

TEST_F(DisplayChannelTest, ASlowClientIsOwedARegionAndNoQueue) {
    init();
    output_.blocked = true;
    for (int turn = 0; turn < 1000; ++turn)
        fill(turn % 50, 0, turn % 50 + 8, 8);
    EXPECT_TRUE(output_.messages.empty());
    output_.blocked = false;
    channel_->pump();
    EXPECT_EQ(output_.take_numbers(), std::vector<std::uint16_t>{display::DrawCopy::kFromServer});
}

TEST_F(DisplayChannelTest, ASurfaceThatIsReplacedAtOnceIsNeverSeen) {
    init();
    guest_->destroy_primary(0);
    create_primary(128, 64);
    guest_->destroy_primary(0);
    create_primary(64, 32);
    channel_->pump();
    EXPECT_EQ(output_.take_numbers(), std::vector<std::uint16_t>{display::DrawCopy::kFromServer});
    guest_->destroy_primary(0);
    create_primary(128, 64);
    channel_->pump();
    EXPECT_EQ(output_.take_numbers(),
              (std::vector<std::uint16_t>{
                  display::SurfaceDestroy::kFromServer, display::SurfaceCreate::kFromServer,
                  display::DrawCopy::kFromServer, display::Mark::kFromServer}));
}

// The flags of MIGRATE, the first of these messages.
std::uint32_t flags_of(const wire::IncomingMessage& message) {
    EXPECT_EQ(message.number, 1);
    return static_cast<std::uint32_t>(
        wire::parse<wire::common::Migrate>(message.body).value().flags);
}

TEST_F(DisplayChannelTest, TheHandOverNeedsNoFlushMark) {
    init();
    output_.blocked = true;
    fill(0, 0, 8, 8);
    channel_->migrate();
    ASSERT_EQ(output_.messages.size(), 2u) << "MIGRATE, and the state at once";
    EXPECT_EQ(flags_of(output_.messages[0]), 2u);
    EXPECT_EQ(output_.messages[1].number, 2);
    output_.messages.erase(output_.messages.begin());
    output_.blocked = false;
    channel_->pump();
    ASSERT_EQ(output_.messages.size(), 1u) << "nothing may follow";
    EXPECT_FALSE(channel_->receive(from_client(wire::common::MigrateFlushMark{})))
        << "nobody asked for one";

    // The other server: it knows what the client has, and that the fill never reached it.
    Output there;
    auto target = make_channel(there, true);
    there.messages.clear();
    target->pump();
    EXPECT_TRUE(there.messages.empty()) << "held until its state comes";
    wire::common::MigrateData data;
    data.data = output_.messages[0].body;
    ASSERT_TRUE(target->receive(from_client(data)));
    const auto numbers = there.take_numbers();
    EXPECT_EQ(std::count(numbers.begin(), numbers.end(), display::SurfaceCreate::kFromServer), 0);
    EXPECT_EQ(std::count(numbers.begin(), numbers.end(), display::DrawCopy::kFromServer), 1);
    EXPECT_FALSE(target->receive(from_client(data))) << "a second state";
}

// What the client asks for in DISPLAY_INIT must not be lost.
TEST_F(DisplayChannelTest, AClientThatHasNotAskedYetIsFlushed) {
    channel_->migrate();
    EXPECT_EQ(flags_of(output_.messages.back()), 3u);
    EXPECT_TRUE(channel_->receive(from_client(display::Init{})));
    EXPECT_TRUE(channel_->receive(from_client(wire::common::MigrateFlushMark{})));
    EXPECT_EQ(output_.messages.back().number, 2);
}

TEST_F(DisplayChannelTest, AClientWhoseStateIsThereIsOnlyToldToSwitch) {
    init();
    output_.blocked = true;
    fill(0, 0, 8, 8);
    const auto state = channel_->carried_state(true);
    ASSERT_TRUE(state);
    output_.blocked = false;
    channel_->pump();
    EXPECT_TRUE(output_.take_numbers().empty()) << "frozen: the state stays true";
    channel_->set_carried();
    channel_->migrate();
    ASSERT_EQ(output_.messages.size(), 1u);
    EXPECT_EQ(flags_of(output_.messages[0]), 0u);

    Output there;
    auto target = make_channel(there, true);
    there.messages.clear();
    ASSERT_TRUE(target->take_state(wire::SharedBytes::copy(*state)));
    const auto numbers = there.take_numbers();
    EXPECT_EQ(std::count(numbers.begin(), numbers.end(), display::SurfaceCreate::kFromServer), 0);
    EXPECT_EQ(std::count(numbers.begin(), numbers.end(), display::DrawCopy::kFromServer), 1);
    // The source did not hear in time that it was taken: the client brings it as well.
    wire::common::MigrateData late;
    late.data = wire::SharedBytes::copy(*state);
    EXPECT_TRUE(target->receive(from_client(late)));
    EXPECT_TRUE(there.take_numbers().empty());
    EXPECT_FALSE(target->receive(from_client(late))) << "twice";
}

TEST_F(DisplayChannelTest, WhatTheClientShowsIsNotSentAgain) {
    guest_->destroy_primary(0);
    create_primary(200, 130);
    init();
    fill(10, 10, 30, 20);
    channel_->pump();
    output_.blocked = true;
    fill(150, 70, 160, 80);  // never reaches the client
    const auto state = channel_->carried_state(true);
    const Bytes shown = channel_->shown();
    guest_->destroy_primary(0);
    create_primary(200, 130, true);  // the other host's device, with the same pixels

    Output there;
    auto target = make_channel(there, true);
    there.messages.clear();
    ASSERT_TRUE(target->take_shown(wire::SharedBytes::copy(shown)));
    ASSERT_TRUE(target->take_state(wire::SharedBytes::copy(*state)));
    const auto numbers = std::count_if(
        there.messages.begin(), there.messages.end(),
        [](const auto& message) { return message.number == display::DrawCopy::kFromServer; });
    ASSERT_EQ(numbers, 1) << "one tile";
    const auto copy = wire::parse<display::DrawCopy>(there.messages.back().body);
    EXPECT_EQ(copy.value().base.box.left, 128);
    EXPECT_EQ(copy.value().base.box.top, 64);
    EXPECT_EQ(copy.value().base.box.right, 192);
    EXPECT_EQ(copy.value().base.box.bottom, 128);
}

TEST_F(DisplayChannelTest, AMachineThatStaysThawsItsScreen) {
    init();
    ASSERT_TRUE(channel_->carried_state(true));
    fill(0, 0, 8, 8);
    EXPECT_TRUE(output_.take_numbers().empty());
    channel_->thaw();
    EXPECT_EQ(output_.take_numbers(), std::vector<std::uint16_t>{display::DrawCopy::kFromServer});
}

TEST_F(DisplayChannelTest, ABadStateBesideTheClientLeavesItsOwn) {
    init();
    const auto state = channel_->carried_state(false);
    Output there;
    auto target = make_channel(there, true);
    EXPECT_FALSE(target->take_state(wire::SharedBytes::copy(Bytes(100, 0x41))));
    EXPECT_TRUE(target->is_held());
    wire::common::MigrateData data;
    data.data = wire::SharedBytes::copy(*state);
    EXPECT_TRUE(target->receive(from_client(data)));
    EXPECT_TRUE(target->is_ready());
}

TEST_F(DisplayChannelTest, WithoutTheStateEverythingIsSent) {
    Output there;
    auto target = make_channel(there, true);
    there.messages.clear();
    target->stop_waiting();
    const auto numbers = there.take_numbers();
    EXPECT_EQ(numbers, (std::vector<std::uint16_t>{display::SurfaceCreate::kFromServer,
                                                   display::DrawCopy::kFromServer,
                                                   display::Mark::kFromServer}));
    // It comes late: nothing to add, and no reason to close.
    wire::common::MigrateData late;
    late.data = wire::SharedBytes::take(Bytes(write_display_blob({}, 5)));
    EXPECT_TRUE(target->receive(from_client(late)));
}

TEST_F(DisplayChannelTest, WhatTheDeviceShowsBeforeTheMachineComesIsNeverSeen) {
    init();
    channel_->migrate();
    wire::common::MigrateData data;
    data.data = output_.messages.back().body;

    guest_->destroy_primary(0);
    create_primary(128, 64);  // the other host's device, in the mode it starts with
    Output there;
    channel_ = make_channel(there, true);
    channel_->wait_for_machine();
    ASSERT_TRUE(channel_->receive(from_client(data)));
    there.messages.clear();
    channel_->pump();
    guest_->destroy_primary(0);
    create_primary(64, 32, true);  // the machine comes, with its pixels
    channel_->pump();
    EXPECT_TRUE(there.messages.empty());
    fill(0, 0, 8, 8);
    channel_->machine_arrived();
    EXPECT_EQ(there.take_numbers(), std::vector<std::uint16_t>{display::DrawCopy::kFromServer})
        << "the fill, and nothing of what the client had";
}

constexpr std::uint64_t kIcon = 77ull << 32;

TEST_F(DisplayChannelTest, AnImageThatTheGuestKeepsGoesOnceAndThenByItsName) {
    display::Init message;
    message.pixmap_cache_size = 4096;
    ASSERT_TRUE(channel_->receive(from_client(message)));
    output_.messages.clear();
    const QXLPHYSICAL icon = put_image(kIcon, QXL_IMAGE_CACHE, 16, 16, 1);
    copy(icon, 0, 0, 16, 16);
    copy(icon, 20, 4, 16, 16);
    auto images = take_images();
    ASSERT_EQ(images.size(), 2u);
    EXPECT_EQ(images[0].flags, display::ImageFlags::cache_me);
    EXPECT_NE(images[0].type, display::ImageType::from_cache);
    EXPECT_EQ(images[1].type, display::ImageType::from_cache);
    EXPECT_EQ(images[0].id, images[1].id);
    EXPECT_TRUE(channel_->knowledge().surfaces.at(0).stale.empty());

    // A quarter of the cache is the most for one image, and what is oldest makes room.
    for (std::uint64_t id = 2; id < 20; ++id)
        copy(put_image(id << 32, QXL_IMAGE_CACHE, 16, 16, 2), 0, 0, 16, 16);
    EXPECT_LE(channel_->knowledge().images.pixels(), 4096u);
    const bool was_told = std::any_of(
        output_.messages.begin(), output_.messages.end(),
        [](const auto& sent) { return sent.number == display::InvalList::kFromServer; });
    EXPECT_TRUE(was_told);
    output_.messages.clear();
    copy(icon, 0, 0, 16, 16);
    images = take_images();
    ASSERT_EQ(images.size(), 1u);
    EXPECT_EQ(images[0].flags, display::ImageFlags::cache_me);
    copy(put_image(99ull << 32, QXL_IMAGE_CACHE, 64, 32, 3), 0, 0, 64, 32);
    EXPECT_TRUE(take_images().empty());
    EXPECT_FALSE(channel_->knowledge().surfaces.at(0).stale.empty());
}

TEST_F(DisplayChannelTest, TheGuestsResetOfItsImagesIsTold) {
    display::Init message;
    message.pixmap_cache_size = 4096;
    ASSERT_TRUE(channel_->receive(from_client(message)));
    copy(put_image(kIcon, QXL_IMAGE_CACHE, 16, 16, 1), 0, 0, 16, 16);
    output_.messages.clear();
    channel_->image_cache_reset();
    ASSERT_EQ(output_.messages.size(), 1u);
    const auto told = wire::parse<display::InvalList>(output_.messages[0].body);
    ASSERT_TRUE(told);
    ASSERT_EQ(told->resources.size(), 1u);
    EXPECT_EQ(told->resources[0].id, kIcon);
    EXPECT_EQ(channel_->knowledge().images.count(), 0u);
}

TEST_F(DisplayChannelTest, CachesGoAlongInAHandOver) {
    display::Init message;
    message.pixmap_cache_size = 4096;
    message.glz_dictionary_id = 3;
    message.glz_window_size = 1 << 16;
    ASSERT_TRUE(channel_->receive(from_client(message)));
    const QXLPHYSICAL icon = put_image(kIcon, QXL_IMAGE_CACHE, 16, 16, 1);
    copy(icon, 0, 0, 16, 16);
    caches_->freeze();
    channel_->migrate();
    wire::common::MigrateData data;
    data.data = output_.messages.back().body;
    const Knowledge before = channel_->knowledge();
    EXPECT_EQ(before.glz_last_image_id, 2u);  // the surface, and the icon

    caches_ = std::make_shared<ClientCaches>();
    Output there;
    channel_ = make_channel(there, true);
    ASSERT_TRUE(channel_->receive(from_client(data)));
    EXPECT_EQ(channel_->knowledge().images, before.images);
    EXPECT_EQ(channel_->encoder().dictionary()->next_id(), 3u)
        << "from where the other stopped: the surface went again, here";
    const auto numbers = there.take_numbers();
    EXPECT_EQ(std::count(numbers.begin(), numbers.end(), display::InvalAllPixmaps::kFromServer), 0);
    copy(icon, 20, 4, 16, 16);
    ASSERT_EQ(there.messages.size(), 1u);
    const auto drawn = wire::parse<display::DrawCopy>(there.messages[0].body);
    ASSERT_TRUE(drawn);
    EXPECT_EQ(drawn->source.type, display::ImageType::from_cache);
}

TEST_F(DisplayChannelTest, WhatIsLossyIsMadeExactWhenItRests) {
    options_.jpeg = WanCompression::always;
    channel_ = make_channel(output_, false);
    init();
    copy(put_image(kIcon, 0, 32, 32, 5, true), 0, 0, 32, 32);
    channel_->pump();
    auto images = take_images();
    ASSERT_EQ(images.size(), 1u);
    EXPECT_EQ(images[0].type, display::ImageType::jpeg);
    EXPECT_TRUE(channel_->has_lossy());
    // What is moved is no better there.
    move(32, 0, 48, 16, {0, 0});
    EXPECT_TRUE(channel_->knowledge().surfaces.at(0).lossy.covers({32, 0, 48, 16}));
    channel_->rest();
    EXPECT_TRUE(channel_->has_lossy()) << "it has only just been drawn";
    fill(0, 0, 4, 4);
    EXPECT_FALSE(channel_->knowledge().surfaces.at(0).lossy.contains({1, 1}));
    output_.messages.clear();
    channel_->rest();
    images = take_images();
    EXPECT_FALSE(images.empty());
    for (const display::Image& image : images)
        EXPECT_NE(image.type, display::ImageType::jpeg);
    EXPECT_FALSE(channel_->has_lossy());
}

TEST_F(DisplayChannelTest, TheClientsWishForACompressionGoesFirst) {
    init();
    display::PreferredCompression wish;
    wish.compression = display::ImageCompression::quic;
    ASSERT_TRUE(channel_->receive(from_client(wish)));
    channel_->set_options(EncoderOptions{});
    EXPECT_EQ(channel_->encoder().options().compression, ImageCompression::quic);
    wish.compression = static_cast<display::ImageCompression>(99);
    ASSERT_TRUE(channel_->receive(from_client(wish)));
    EXPECT_EQ(channel_->encoder().options().compression, ImageCompression::quic);
}

TEST_F(DisplayChannelTest, AHostileStateIsRefused) {
    Output there;
    auto target = make_channel(there, true);
    wire::common::MigrateData noise;
    noise.data = wire::SharedBytes::take(Bytes(100, 0x41));
    EXPECT_FALSE(target->receive(from_client(noise)));
}

}  // namespace
}  // namespace segue::spice::server
