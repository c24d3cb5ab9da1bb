// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>

#include "spice/server/display/client/display_blob.h"
#include "spice/server/display/client/display_channel_fixture.h"

namespace segue::spice::server {
namespace {

TEST_F(DisplayChannelTest, NothingIsShownBeforeTheClientsInit) {
    channel_->pump();
    EXPECT_EQ(output_.take_numbers(), std::vector<std::uint16_t>{3});  // SET_ACK
    ASSERT_TRUE(channel_->receive(from_client(display::Init{})));
    EXPECT_EQ(output_.take_numbers(),
              (std::vector<std::uint16_t>{
                  display::InvalAllPalettes::kFromServer, display::SurfaceCreate::kFromServer,
                  display::DrawFill::kFromServer, display::Mark::kFromServer}))
        << "a new surface is black";
}

TEST_F(DisplayChannelTest, ASecondInitIsRefused) {
    init();
    EXPECT_FALSE(channel_->receive(from_client(display::Init{})));
}

TEST_F(DisplayChannelTest, ASurfaceThatIsReplacedAtOnceIsNeverSeen) {
    init();
    guest_->destroy_primary(0);
    create_primary(128, 64);
    guest_->destroy_primary(0);
    create_primary(64, 32);
    channel_->pump();
    EXPECT_EQ(output_.take_numbers(), std::vector<std::uint16_t>{display::DrawFill::kFromServer});
    guest_->destroy_primary(0);
    create_primary(128, 64);
    channel_->pump();
    EXPECT_EQ(output_.take_numbers(),
              (std::vector<std::uint16_t>{
                  display::SurfaceDestroy::kFromServer, display::SurfaceCreate::kFromServer,
                  display::DrawFill::kFromServer, display::Mark::kFromServer}));
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
    ASSERT_EQ(output_.messages.size(), 3u) << "the fill, MIGRATE, and the state at once";
    EXPECT_EQ(output_.messages[0].number, display::DrawFill::kFromServer);
    EXPECT_EQ(flags_of(output_.messages[1]), 2u);
    EXPECT_EQ(output_.messages[2].number, 2);
    output_.messages.erase(output_.messages.begin(), output_.messages.begin() + 2);
    output_.blocked = false;
    channel_->pump();
    ASSERT_EQ(output_.messages.size(), 1u) << "nothing may follow";
    EXPECT_FALSE(channel_->receive(from_client(wire::common::MigrateFlushMark{})))
        << "nobody asked for one";

    // The other server: it knows what the client has.
    DisplayOutput there;
    auto target = make_channel(there, true);
    there.messages.clear();
    target->pump();
    EXPECT_TRUE(there.messages.empty()) << "held until its state comes";
    wire::common::MigrateData data;
    data.data = output_.messages[0].body;
    ASSERT_TRUE(target->receive(from_client(data)));
    const SurfaceKnowledge& primary = target->knowledge().surfaces.at(0);
    EXPECT_TRUE(primary.fits(*guest_->surfaces().find(0)));
    const auto numbers = there.take_numbers();
    EXPECT_EQ(std::count(numbers.begin(), numbers.end(), display::SurfaceCreate::kFromServer), 0);
    EXPECT_FALSE(target->receive(from_client(data))) << "a second state";
}

// Stock's server believes its clients to have all that the source has: what waited for a slow one
// must come before MIGRATE. Of a screen that has become black, nothing would ever be sent again.
TEST_F(DisplayChannelTest, WhatASlowClientLacksGoesBeforeMigrate) {
    init();
    copy(put_image(1, 0, 48, 16, 3), 0, 0, 48, 16);
    channel_->pump();
    output_.messages.clear();
    output_.blocked = true;
    fill(0, 0, 16, 16);
    fill(16, 0, 32, 16, 0, 0);
    channel_->pump();
    EXPECT_TRUE(output_.messages.empty());
    channel_->migrate();
    const canvas::Region all(canvas::Rect{0, 0, 32, 16});
    canvas::Region sent;
    for (const wire::IncomingMessage& message : output_.messages) {
        if (message.number == 1) break;
        ASSERT_EQ(message.number, display::DrawCopy::kFromServer);
        const wire::Rect box = wire::parse<display::DrawCopy>(message.body).value().base.box;
        sent.unite(canvas::Region(canvas::Rect{box.left, box.top, box.right, box.bottom}));
    }
    EXPECT_TRUE(sent.covers(all.extents()));
    EXPECT_EQ(output_.messages.back().number, 2);
    EXPECT_TRUE(channel_->knowledge().surfaces.at(0).stale.empty());
}

// Stock's target does not make the surface anew while its machine is on the way.
TEST_F(DisplayChannelTest, ASurfaceThatASlowClientLacksIsMadeBeforeMigrate) {
    init();
    channel_->pump();
    output_.messages.clear();
    output_.blocked = true;
    guest_->destroy_primary(0);
    create_primary(128, 96);
    channel_->pump();
    EXPECT_TRUE(output_.messages.empty());
    channel_->migrate();
    EXPECT_EQ(output_.take_numbers(),
              (std::vector<std::uint16_t>{
                  display::SurfaceDestroy::kFromServer, display::SurfaceCreate::kFromServer,
                  display::DrawFill::kFromServer, display::Mark::kFromServer, 1, 2}));
    EXPECT_TRUE(channel_->knowledge().surfaces.at(0).fits(*guest_->surfaces().find(0)));
}

// Without JPEG the state has no place for what is lossy (of a video, say).
TEST_F(DisplayChannelTest, WhatIsLossyIsMadeExactBeforeMigrate) {
    options_.compression = ImageCompression::auto_lz;
    options_.jpeg = WanCompression::always;
    channel_->set_options(options_);
    init();
    copy(put_image(1, 0, 64, 32, 3, true), 0, 0, 64, 32);
    channel_->pump();
    ASSERT_TRUE(channel_->has_lossy());
    options_.jpeg = WanCompression::never;
    channel_->set_options(options_);
    output_.messages.clear();
    channel_->migrate();
    EXPECT_FALSE(channel_->has_lossy());
    const auto images = take_images();
    ASSERT_FALSE(images.empty());
    for (const display::Image& image : images)
        EXPECT_NE(image.type, display::ImageType::jpeg);
}

// Another display of the client still uses the dictionary: what would enter it here never leaves.
TEST_F(DisplayChannelTest, BehindMigrateNothingIsEncoded) {
    options_.jpeg = WanCompression::always;
    channel_->set_options(options_);
    init();
    copy(put_image(1, 0, 64, 32, 3, true), 0, 0, 64, 32);
    channel_->pump();
    ASSERT_TRUE(channel_->has_lossy());
    channel_->migrate();
    const std::uint64_t before = channel_->encoder().images();
    channel_->rest();
    channel_->rest();
    EXPECT_EQ(channel_->encoder().images(), before);
}

// What the client asks for in DISPLAY_INIT must not be lost.
TEST_F(DisplayChannelTest, AClientThatHasNotAskedYetIsFlushed) {
    channel_->migrate();
    EXPECT_EQ(flags_of(output_.messages.back()), 3u);
    EXPECT_TRUE(channel_->receive(from_client(display::Init{})));
    EXPECT_TRUE(channel_->receive(from_client(wire::common::MigrateFlushMark{})));
    EXPECT_EQ(output_.messages.back().number, 2);
}

// What it says first tells that it has come over from another server.
TEST_F(DisplayChannelTest, TheFirstWordOfAClientIsToldOnce) {
    int told = 0;
    channel_->on_first_message = [&] { ++told; };
    ASSERT_TRUE(channel_->receive(Bytes(3)));
    EXPECT_EQ(told, 0) << "half a header";
    channel_ = make_channel(output_, true);
    channel_->on_first_message = [&] { ++told; };
    ASSERT_TRUE(channel_->receive(from_client(wire::common::AckSync{})));
    ASSERT_TRUE(channel_->receive(from_client(wire::common::AckSync{})));
    EXPECT_EQ(told, 1);
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

    DisplayOutput there;
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

    DisplayOutput there;
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
    EXPECT_EQ(output_.take_numbers(), std::vector<std::uint16_t>{display::DrawFill::kFromServer});
}

TEST_F(DisplayChannelTest, ABadStateBesideTheClientLeavesItsOwn) {
    init();
    const auto state = channel_->carried_state(false);
    DisplayOutput there;
    auto target = make_channel(there, true);
    EXPECT_FALSE(target->take_state(wire::SharedBytes::copy(Bytes(100, 0x41))));
    EXPECT_TRUE(target->is_held());
    wire::common::MigrateData data;
    data.data = wire::SharedBytes::copy(*state);
    EXPECT_TRUE(target->receive(from_client(data)));
    EXPECT_TRUE(target->is_ready());
}

TEST_F(DisplayChannelTest, WithoutTheStateEverythingIsSent) {
    DisplayOutput there;
    auto target = make_channel(there, true);
    there.messages.clear();
    target->stop_waiting();
    const auto numbers = there.take_numbers();
    EXPECT_EQ(numbers, (std::vector<std::uint16_t>{display::SurfaceCreate::kFromServer,
                                                   display::DrawFill::kFromServer,
                                                   display::Mark::kFromServer}));
}

// A client says its DISPLAY_INIT once, to its first server.
TEST_F(DisplayChannelTest, LateStateBringsTheCachesBack) {
    for (const bool is_beside : {false, true}) {
        caches_ = std::make_shared<ClientCaches>();
        DisplayOutput there;
        channel_ = make_channel(there, true);
        channel_->stop_waiting();
        ASSERT_TRUE(channel_->is_ready());
        there.messages.clear();
        DisplayBlob blob;
        blob.message_serial = 1000;
        blob.knowledge.glz_dictionary_id = 3;
        blob.knowledge.glz_window = 1 << 16;
        blob.knowledge.glz_last_image_id = 41;
        blob.knowledge.pixmap_cache_size = 4096;
        blob.knowledge.images.add(kIcon, 256);
        blob.knowledge.preferred_compression = ImageCompression::quic;
        blob.knowledge.surfaces[9].width = blob.knowledge.surfaces[9].height = 8;
        const std::uint64_t sent = channel_->messages_sent();
        const Bytes state = write_display_blob(blob);
        if (is_beside) {
            ASSERT_TRUE(channel_->take_state(wire::SharedBytes::copy(state)));
        }
        wire::common::MigrateData late;
        late.data = wire::SharedBytes::copy(state);
        ASSERT_TRUE(channel_->receive(from_client(late)));
        EXPECT_GE(channel_->messages_sent(), 1000 + sent);
        EXPECT_LT(channel_->messages_sent(), 1010 + sent) << "counted once";
        ASSERT_NE(channel_->encoder().dictionary(), nullptr);
        EXPECT_GE(channel_->encoder().dictionary()->next_id(), 41u);
        EXPECT_EQ(channel_->knowledge().preferred_compression, ImageCompression::quic);
        const auto numbers = there.take_numbers();
        EXPECT_EQ(std::count(numbers.begin(), numbers.end(), display::SurfaceCreate::kFromServer),
                  0)
            << "it has been sent the picture";
        EXPECT_EQ(std::count(numbers.begin(), numbers.end(), display::SurfaceDestroy::kFromServer),
                  1)
            << "the surface that is gone here";
        copy(put_image(kIcon, QXL_IMAGE_CACHE, 16, 16, 1), 20, 4, 16, 16);
        ASSERT_EQ(there.messages.size(), 1u);
        const auto drawn = wire::parse<display::DrawCopy>(there.messages[0].body);
        ASSERT_TRUE(drawn);
        EXPECT_EQ(drawn->source.type, display::ImageType::from_cache);
    }
}

TEST_F(DisplayChannelTest, WhatTheDeviceShowsBeforeTheMachineComesIsNeverSeen) {
    init();
    channel_->migrate();
    wire::common::MigrateData data;
    data.data = output_.messages.back().body;

    guest_->destroy_primary(0);
    create_primary(128, 64);  // the other host's device, in the mode it starts with
    DisplayOutput there;
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
    EXPECT_EQ(there.take_numbers(), std::vector<std::uint16_t>{display::DrawFill::kFromServer})
        << "the fill, and nothing of what the client had";
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
    EXPECT_EQ(before.glz_last_image_id, 1u);  // the icon

    caches_ = std::make_shared<ClientCaches>();
    DisplayOutput there;
    channel_ = make_channel(there, true);
    ASSERT_TRUE(channel_->receive(from_client(data)));
    EXPECT_EQ(channel_->knowledge().images, before.images);
    EXPECT_EQ(channel_->encoder().dictionary()->next_id(), 2u)
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

// It said so before it heard that it is to go: the target must do as it wants.
TEST_F(DisplayChannelTest, AWishThatComesBehindMigrateIsPassedOn) {
    init();
    std::vector<ImageCompression> wishes;
    channel_->on_late_wish = [&](ImageCompression wish) { wishes.push_back(wish); };
    display::PreferredCompression wish;
    wish.compression = display::ImageCompression::lz;
    ASSERT_TRUE(channel_->receive(from_client(wish)));
    EXPECT_TRUE(wishes.empty()) << "the state that is still to go will say it";
    const auto state = channel_->carried_state(true);
    wish.compression = display::ImageCompression::off;
    ASSERT_TRUE(channel_->receive(from_client(wish)));
    channel_->set_carried();
    channel_->migrate();
    wish.compression = display::ImageCompression::quic;
    ASSERT_TRUE(channel_->receive(from_client(wish)));
    ASSERT_EQ(wishes, (std::vector{ImageCompression::off, ImageCompression::quic}));

    for (const bool before_state : {true, false}) {
        DisplayOutput there;
        auto target = make_channel(there, true);
        if (before_state) target->take_late_wish(wishes[1]);
        ASSERT_TRUE(target->take_state(wire::SharedBytes::copy(*state)));
        if (!before_state) target->take_late_wish(wishes[1]);
        target->take_late_wish(static_cast<ImageCompression>(99));
        EXPECT_EQ(target->encoder().options().compression, ImageCompression::quic);
    }
}

TEST_F(DisplayChannelTest, AHostileStateIsRefused) {
    DisplayOutput there;
    auto target = make_channel(there, true);
    wire::common::MigrateData noise;
    noise.data = wire::SharedBytes::take(Bytes(100, 0x41));
    EXPECT_FALSE(target->receive(from_client(noise)));
}

class MonitorsTest : public DisplayChannelTest {
  protected:
    void SetUp() override {
        client_caps_.add(display::Capability::monitors_config);
        DisplayChannelTest::SetUp();
        init();
    }
    // The guest's driver tells one monitor of this size.
    void tell(std::uint32_t width, std::uint32_t height) {
        QXLMonitorsConfig config{};
        config.count = config.max_allowed = 1;
        QXLHead head{};
        head.width = width;
        head.height = height;
        std::vector<std::uint8_t> bytes(sizeof head);
        std::memcpy(bytes.data(), &head, sizeof head);
        ASSERT_TRUE(guest_->set_monitors(FakeDevice::kGroup, device_.put(config, bytes), 4));
    }
    // The primary surface is replaced, as Display does it for a driver that told its monitors.
    void renew(std::uint32_t width, std::uint32_t height) {
        guest_->destroy_primary(0);
        create_primary(width, height);
        guest_->reset_monitors(4, true);
    }
    // Widths of the heads that the client was told last.
    static std::vector<std::uint32_t> told(DisplayOutput& output) {
        std::vector<std::uint32_t> widths;
        for (const wire::IncomingMessage& message : output.messages) {
            if (message.number != display::MonitorsConfig::kFromServer) continue;
            widths.clear();
            const auto config = wire::parse<display::MonitorsConfig>(message.body).value();
            for (const display::Head& head : config.heads)
                widths.push_back(head.width);
        }
        output.messages.clear();
        return widths;
    }
    using Widths = std::vector<std::uint32_t>;
};

TEST_F(MonitorsTest, WhoComesBeforeTheDriverTellsSeesTheWholeScreen) {
    tell(32, 16);
    channel_->pump();
    EXPECT_EQ(told(output_), Widths{32});
    renew(128, 64);
    channel_->pump();
    EXPECT_EQ(told(output_), Widths{}) << "the driver is about to tell";
    DisplayOutput other;
    auto second = make_channel(other, false, 1);
    ASSERT_TRUE(second->receive(from_client(display::Init{})));
    second->pump();
    EXPECT_EQ(told(other), Widths{128});
    tell(96, 64);
    channel_->pump();
    second->pump();
    EXPECT_EQ(told(output_), Widths{96});
    EXPECT_EQ(told(other), Widths{96});
}

TEST_F(MonitorsTest, AHeadThatWasCutIsToldWholeWhenTheScreenHasGrown) {
    tell(100, 32);
    channel_->pump();
    EXPECT_EQ(told(output_), Widths{64}) << "cut to the screen";
    renew(128, 64);
    tell(100, 32);
    channel_->pump();
    EXPECT_EQ(told(output_), Widths{100});
    channel_->pump();
    EXPECT_EQ(told(output_), Widths{}) << "once";
}

}  // namespace
}  // namespace segue::spice::server
