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
        auto made = std::make_unique<DisplayChannel>(setup, output, *guest_, EncoderOptions{});
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

TEST_F(DisplayChannelTest, AMoveOfWhatTheClientLacksBecomesPixels) {
    init();
    move(32, 0, 40, 8, {0, 0});
    EXPECT_EQ(output_.take_numbers(), std::vector<std::uint16_t>{display::CopyBits::kFromServer});
    output_.blocked = true;
    fill(0, 0, 8, 8);
    output_.blocked = false;
    move(48, 0, 56, 8, {0, 0});
    EXPECT_TRUE(output_.take_numbers().empty());
    EXPECT_TRUE(channel_->knowledge().surfaces.at(0).stale.covers({48, 0, 56, 8}));
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

TEST_F(DisplayChannelTest, AHostileStateIsRefused) {
    Output there;
    auto target = make_channel(there, true);
    wire::common::MigrateData noise;
    noise.data = wire::SharedBytes::take(Bytes(100, 0x41));
    EXPECT_FALSE(target->receive(from_client(noise)));
}

}  // namespace
}  // namespace segue::spice::server
