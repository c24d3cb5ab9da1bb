// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>

#include "spice/server/display/client/display_channel_fixture.h"

namespace segue::spice::server {
namespace {

using DisplayOperationsTest = DisplayChannelTest;

TEST_F(DisplayOperationsTest, AFillGoesOutAsItIs) {
    init();
    fill(0, 0, 8, 8);
    EXPECT_EQ(output_.take_numbers(), std::vector<std::uint16_t>{display::DrawFill::kFromServer});
    EXPECT_TRUE(channel_->knowledge().surfaces.at(0).stale.empty());
}

TEST_F(DisplayOperationsTest, WhatTheClientLacksOfAMoveItLacksThereToo) {
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

TEST_F(DisplayOperationsTest, ASlowClientIsOwedARegionAndNoQueue) {
    init();
    output_.blocked = true;
    for (int turn = 0; turn < 1000; ++turn)
        fill(turn % 50, 0, turn % 50 + 8, 8);
    EXPECT_TRUE(output_.messages.empty());
    output_.blocked = false;
    channel_->pump();
    EXPECT_EQ(output_.take_numbers(), std::vector<std::uint16_t>{display::DrawFill::kFromServer})
        << "of one colour by now";
}

TEST_F(DisplayOperationsTest, ASurfaceOffScreenIsDrawnAtTheClientToo) {
    init();
    create_surface(1, 16);
    EXPECT_TRUE(output_.take_numbers().empty()) << "not before it is of use";
    fill(0, 0, 8, 8, 1);
    copy(put_surface_image(1), 20, 4, 16, 16);
    ASSERT_EQ(output_.messages.size(), 4u);
    const auto drawn = wire::parse<display::DrawCopy>(output_.messages[3].body);
    ASSERT_TRUE(drawn);
    EXPECT_EQ(drawn->source.type, display::ImageType::surface);
    EXPECT_EQ(std::get<display::SurfaceReference>(drawn->source.data).surface_id, 1u);
    EXPECT_EQ(output_.take_numbers(),
              (std::vector<std::uint16_t>{
                  display::SurfaceCreate::kFromServer, display::DrawFill::kFromServer,
                  display::DrawFill::kFromServer, display::DrawCopy::kFromServer}));
    EXPECT_TRUE(channel_->knowledge().surfaces.at(0).stale.empty());
    channel_->pump();
    EXPECT_TRUE(output_.take_numbers().empty());
    guest_->destroy_surface(1);
    channel_->pump();
    EXPECT_EQ(output_.take_numbers(),
              std::vector<std::uint16_t>{display::SurfaceDestroy::kFromServer});
}

TEST_F(DisplayOperationsTest, PixelsOffScreenGoWhereTheyAreSeenAndThenToTheirSurface) {
    init();
    create_surface(1, 16);
    copy(put_image(1, 0, 16, 16, 3), 0, 0, 16, 16, 1);
    const QXLPHYSICAL surface = put_surface_image(1);
    copy(surface, 0, 0, 16, 16);
    channel_->pump();
    auto images = take_images();
    ASSERT_EQ(images.size(), 1u);
    EXPECT_NE(images[0].type, display::ImageType::surface);
    copy(surface, 20, 0, 16, 16);  // as it was: it will be copied on
    images = take_images();
    ASSERT_EQ(images.size(), 2u);
    EXPECT_NE(images[0].type, display::ImageType::surface);
    EXPECT_EQ(images[1].type, display::ImageType::surface);
    copy(surface, 40, 0, 16, 16);
    images = take_images();
    ASSERT_EQ(images.size(), 1u);
    EXPECT_EQ(images[0].type, display::ImageType::surface);
    // Drawn anew, it is as it was at first.
    copy(put_image(2, 0, 16, 16, 4), 0, 0, 16, 16, 1);
    copy(surface, 0, 0, 16, 16);
    EXPECT_TRUE(take_images().empty());
    EXPECT_TRUE(channel_->knowledge().surfaces.at(0).stale.covers({0, 0, 16, 16}));
}

// What lies between many small places counts as copied with them.
TEST_F(DisplayOperationsTest, CopiesFromManyPlacesAreKeptAccountOfRoughly) {
    init();
    constexpr std::int32_t kSide = 256;
    create_surface(1, kSide);
    copy(put_image(1, 0, kSide, kSide, 3), 0, 0, kSide, kSide, 1);
    const QXLPHYSICAL surface = put_surface_image(1);
    const auto copy_pixel = [&](std::int32_t x, std::int32_t y) {
        QXLDrawable drawable{};
        drawable.type = QXL_DRAW_COPY;
        drawable.bbox = {0, 0, 1, 1};
        drawable.u.copy.src_bitmap = surface;
        drawable.u.copy.src_area = {y, x, y + 1, x + 1};
        drawable.u.copy.rop_descriptor = SPICE_ROPD_OP_PUT;
        device_.queue(QXL_CMD_DRAW, device_.put(drawable));
        guest_->drain();
    };
    for (std::int32_t y = 0; y < 64; y += 2) {
        for (std::int32_t x = 0; x < kSide; x += 2)
            copy_pixel(x, y);
    }
    copy_pixel(0, 64);  // one more than are kept exactly
    EXPECT_TRUE(take_images().empty());
    copy_pixel(101, 33);
    const auto images = take_images();
    ASSERT_EQ(images.size(), 1u);
    EXPECT_EQ(images[0].type, display::ImageType::surface);
    copy_pixel(101, 133);
    EXPECT_TRUE(take_images().empty());
}

TEST_F(DisplayOperationsTest, WhatIsLossyIsLossyInTheSurfaceItIsCopiedTo) {
    options_.jpeg = WanCompression::always;
    channel_ = make_channel(output_, false);
    init();
    copy(put_image(1, 0, 32, 32, 5, true), 0, 0, 32, 32);
    channel_->pump();
    create_surface(1, 16);
    copy(put_surface_image(0), 0, 0, 16, 16, 1);
    const auto images = take_images();
    ASSERT_EQ(images.size(), 2u);
    EXPECT_EQ(images[0].type, display::ImageType::jpeg);
    EXPECT_EQ(images[1].type, display::ImageType::surface);
    EXPECT_TRUE(channel_->knowledge().surfaces.at(1).lossy.covers({0, 0, 16, 16}));
}

TEST_F(DisplayOperationsTest, ASurfaceOffScreenThatIsNotWholeIsLeftBehind) {
    init();
    for (std::uint32_t id = 1; id <= 2; ++id) {
        create_surface(id, 16);
        fill(0, 0, 8, 8, id);
    }
    copy(put_image(1, 0, 16, 16, 3), 0, 0, 16, 16, 2);
    output_.messages.clear();
    channel_->migrate();
    ASSERT_EQ(output_.messages.size(), 3u);
    const auto gone = wire::parse<display::SurfaceDestroy>(output_.messages[0].body);
    ASSERT_TRUE(gone);
    EXPECT_EQ(gone->surface_id, 2u);
    EXPECT_EQ(channel_->knowledge().surfaces.count(1), 1u);
}

// Of one surface the client has all; of the other it lacks so much, in so many places, that telling
// them costs more than to send it again where it is wanted.
TEST_F(DisplayOperationsTest, ASurfaceOffScreenThatIsCheaperAnewIsNotCarried) {
    init();
    for (std::uint32_t id = 1; id <= 2; ++id) {
        create_surface(id, 64);
        copy(put_surface_image(id), 0, 0, 16, 16);
    }
    output_.blocked = true;
    for (std::int32_t row = 0; row < 64; row += 2)
        fill(0, row, 62, row + 1, 2, static_cast<std::uint32_t>(row));
    for (std::int32_t row = 1; row < 64; row += 2)
        fill(2, row, 64, row + 1, 2, static_cast<std::uint32_t>(row));
    output_.blocked = false;
    output_.messages.clear();
    const auto first = channel_->carried_state(false);
    EXPECT_TRUE(output_.messages.empty()) << "the machine runs: it may yet be sent whole";
    const auto state = channel_->carried_state(true);
    ASSERT_EQ(output_.messages.size(), 1u);
    EXPECT_EQ(wire::parse<display::SurfaceDestroy>(output_.messages[0].body).value().surface_id,
              2u);
    EXPECT_LT(state->size() + 500, first->size());

    DisplayOutput there;
    auto target = make_channel(there, true);
    ASSERT_TRUE(target->take_state(wire::SharedBytes::copy(*state)));
    EXPECT_EQ(target->knowledge().surfaces.count(1), 1u);
    EXPECT_EQ(target->knowledge().surfaces.count(2), 0u);
}

TEST_F(DisplayOperationsTest, AnImageThatTheGuestKeepsGoesOnceAndThenByItsName) {
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

// Of a client that keeps images, palettes and a dictionary: what the encoder has put into one of
// them the client must be sent, or it waits for that as soon as it is referred to.
class CachesOfAClient : public DisplayChannelTest {
  protected:
    void SetUp() override {
        client_caps_.add(display::Capability::composite);
        DisplayChannelTest::SetUp();
    }
    void link(std::unique_ptr<DisplayChannel> channel) {
        channel_ = std::move(channel);
        display::Init message;
        message.pixmap_cache_size = 4096;
        message.glz_window_size = 1 << 16;
        ASSERT_TRUE(channel_->receive(from_client(message)));
        output_.messages.clear();
    }
};

TEST_F(CachesOfAClient, OnAFifthDisplayNothingIsEncodedInVain) {
    link(make_channel(output_, false, SharedImages::kSharers));
    const std::uint64_t before = channel_->encoder().images();
    copy(put_image(kIcon, QXL_IMAGE_CACHE, 16, 16, 1), 0, 0, 16, 16);
    EXPECT_TRUE(take_images().empty());
    EXPECT_EQ(channel_->encoder().images(), before);
    channel_->pump();
    EXPECT_EQ(take_images().size(), channel_->encoder().images() - before);
}

TEST_F(CachesOfAClient, WhileTheCacheIsClosedNothingIsEncodedInVain) {
    caches_->images(0).close();
    link(make_channel(output_, false));
    const std::uint64_t before = channel_->encoder().images();
    copy(put_image(kIcon, QXL_IMAGE_CACHE, 16, 16, 1), 0, 0, 16, 16);
    EXPECT_TRUE(take_images().empty());
    EXPECT_EQ(channel_->encoder().images(), before);
}

// Another display empties the cache on a thread of its own, at the worst moment.
TEST_F(CachesOfAClient, WhatIsEncodedWhileTheCacheIsEmptiedGoesAndIsNotKept) {
    struct EmptyingClock final : Clock {
        explicit EmptyingClock(SharedImages& of) : images(of) {}
        Instant now() const override {
            if (empties) images.empty(1, 7);
            return {};
        }
        std::chrono::system_clock::time_point wall() const override { return {}; }
        SharedImages& images;
        bool empties = false;
    } clock(caches_->images(0));
    ChannelSetup setup;
    setup.client_caps = client_caps_;
    setup.key = {wire::ChannelType::display, 0};
    link(std::make_unique<DisplayChannel>(setup, output_, *guest_, options_, caches_, clock));
    const QXLPHYSICAL icon = put_image(kIcon, QXL_IMAGE_CACHE, 16, 16, 1);
    clock.empties = true;
    copy(icon, 0, 0, 16, 16);
    clock.empties = false;
    auto images = take_images();
    ASSERT_EQ(images.size(), channel_->encoder().images());
    ASSERT_EQ(images.size(), 1u);
    EXPECT_EQ(images[0].flags, display::ImageFlags{});
    EXPECT_EQ(channel_->knowledge().images.count(), 0u);
    copy(icon, 20, 4, 16, 16);
    images = take_images();
    ASSERT_EQ(images.size(), 1u);
    EXPECT_EQ(images[0].flags, display::ImageFlags::cache_me);
    channel_.reset();  // before its clock
}

TEST_F(DisplayOperationsTest, TheGuestsResetOfItsImagesIsTold) {
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

TEST_F(DisplayOperationsTest, ADeviceThatIsResetBeforeItsMachineComesForgetsNoImages) {
    display::Init message;
    message.pixmap_cache_size = 4096;
    ASSERT_TRUE(channel_->receive(from_client(message)));
    const QXLPHYSICAL icon = put_image(kIcon, QXL_IMAGE_CACHE, 16, 16, 1);
    copy(icon, 0, 0, 16, 16);
    output_.messages.clear();
    guest_->set_running(false);
    channel_->wait_for_machine();
    channel_->image_cache_reset();
    EXPECT_TRUE(output_.messages.empty());
    EXPECT_EQ(channel_->knowledge().images.count(), 1u);
    guest_->set_running(true);
    channel_->machine_arrived();
    copy(icon, 20, 4, 16, 16);
    const auto images = take_images();
    ASSERT_EQ(images.size(), 1u);
    EXPECT_EQ(images[0].type, display::ImageType::from_cache);
    // Once it runs, the machine itself may ask for it.
    channel_->wait_for_machine();
    channel_->image_cache_reset();
    EXPECT_EQ(channel_->knowledge().images.count(), 0u);
}

}  // namespace
}  // namespace segue::spice::server
