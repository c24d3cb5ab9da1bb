// SPDX-License-Identifier: LGPL-2.1-or-later
// What a display channel makes of each field of SpiceMigrateDataDisplay, and what it writes there.
#include "spice/server/display/client/display_blob.h"
#include "spice/server/display/client/display_channel_fixture.h"

namespace segue::spice::server {
namespace {

// Of a client with one surface, whose cache holds 4096 pixels.
DisplayBlob some_state() {
    DisplayBlob state;
    state.message_serial = 100;
    state.is_freezer = true;
    state.knowledge.pixmap_cache_id = 1;
    state.knowledge.pixmap_cache_size = 4096;
    state.knowledge.surfaces[0] = {};
    return state;
}

// As stock writes it: nothing stands behind the list of surfaces.
Bytes of_stock(const DisplayBlob& state) {
    Bytes bytes = write_display_blob(state);
    bytes.resize(84 + state.knowledge.surfaces.size() * (state.has_lossy_list ? 20 : 4));
    return bytes;
}

class DisplayStateTest : public DisplayChannelTest {
  protected:
    // A channel that has come from another server, with what it sends.
    struct Arrived {
        std::uint8_t id = 0;
        std::unique_ptr<DisplayOutput> sent = std::make_unique<DisplayOutput>();
        std::unique_ptr<DisplayChannel> channel;
    };
    Arrived arrive(std::uint8_t id = 0) {
        Arrived one;
        one.id = id;
        one.channel = make_channel(*one.sent, true, id);
        one.sent->messages.clear();
        return one;
    }
    static Result<> bring(Arrived& one, const Bytes& state) {
        wire::common::MigrateData data;
        data.data = wire::SharedBytes::copy(state);
        return one.channel->receive(from_client(data));
    }
    Arrived arrive_with(const Bytes& state, std::uint8_t id = 0) {
        Arrived one = arrive(id);
        const Result<> taken = bring(one, state);
        EXPECT_TRUE(taken) << taken.error().message;
        return one;
    }
    // Draws an image that the guest keeps, on one of several channels; returns what went out.
    std::vector<wire::IncomingMessage> draw_icon(Arrived& one, std::uint64_t id = kIcon) {
        one.channel->pump();
        one.sent->messages.clear();
        channel_ = std::move(one.channel);
        copy(put_image(id, QXL_IMAGE_CACHE, 16, 16, 1), 0, 0, 16, 16);
        one.channel = std::move(channel_);
        return std::exchange(one.sent->messages, {});
    }
    static bool is_kept(const std::vector<wire::IncomingMessage>& sent) {
        if (sent.empty() || sent.back().number != display::DrawCopy::kFromServer) return false;
        const auto copy = wire::parse<display::DrawCopy>(sent.back().body);
        return copy && wire::has(copy->source.flags, display::ImageFlags::cache_me);
    }
    static std::vector<wire::WaitForChannel> emptied(const Arrived& one) {
        for (const wire::IncomingMessage& message : one.sent->messages) {
            if (message.number == display::InvalAllPixmaps::kFromServer)
                return wire::parse<display::InvalAllPixmaps>(message.body).value().wait_list;
        }
        ADD_FAILURE() << "the cache was not emptied";
        return {};
    }
    static bool empties(const Arrived& one) {
        return std::any_of(one.sent->messages.begin(), one.sent->messages.end(), [](const auto& m) {
            return m.number == display::InvalAllPixmaps::kFromServer;
        });
    }
};

// The client counts on: each message here, and the one before its state was read.
TEST_F(DisplayStateTest, MessageSerial) {
    Arrived one = arrive_with(of_stock(some_state()));
    const std::uint64_t sent = 1 + one.sent->messages.size();  // SET_ACK was taken off
    EXPECT_EQ(one.channel->messages_sent(), 100 + sent);

    init();
    const std::uint64_t here = channel_->messages_sent();
    channel_->migrate();
    const auto written =
        read_display_blob(wire::SharedBytes::copy(output_.messages.back().body.view()));
    ASSERT_TRUE(written);
    EXPECT_EQ(written->message_serial, here + 2) << "MIGRATE, and the state itself";
}

TEST_F(DisplayStateTest, LowBandwidth) {
    for (const bool is_low : {true, false}) {
        DisplayBlob state = some_state();
        state.knowledge.low_bandwidth = is_low;
        const Arrived one = arrive_with(of_stock(state));
        EXPECT_EQ(one.channel->encoder().options().low_bandwidth, is_low);
        EXPECT_EQ(one.channel->line().is_low(), is_low);
    }
}

// Channels with caches of their own do not wait for each other.
TEST_F(DisplayStateTest, PixmapCacheId) {
    DisplayBlob state = some_state();
    Arrived freezer = arrive_with(of_stock(state));
    state.is_freezer = false;
    Arrived same = arrive_with(of_stock(state), 1);
    state.knowledge.pixmap_cache_id = 2;
    Arrived other = arrive_with(of_stock(state), 2);
    EXPECT_TRUE(is_kept(draw_icon(same)));
    EXPECT_FALSE(is_kept(draw_icon(other))) << "its freezer has not come";
    EXPECT_EQ(freezer.channel->knowledge().pixmap_cache_id, 1);
}

TEST_F(DisplayStateTest, PixmapCacheSize) {
    DisplayBlob state = some_state();
    Arrived large = arrive_with(of_stock(state));
    EXPECT_TRUE(is_kept(draw_icon(large)));
    caches_ = std::make_shared<ClientCaches>();
    state.knowledge.pixmap_cache_size = 512;  // an image may take a quarter
    Arrived small = arrive_with(of_stock(state));
    EXPECT_FALSE(is_kept(draw_icon(small)));
    caches_ = std::make_shared<ClientCaches>();
    state.knowledge.pixmap_cache_size = -1;
    Arrived none = arrive_with(of_stock(state));
    EXPECT_FALSE(is_kept(draw_icon(none)));
}

TEST_F(DisplayStateTest, PixmapCacheFreezer) {
    DisplayBlob state = some_state();
    EXPECT_TRUE(empties(arrive_with(of_stock(state))));
    caches_ = std::make_shared<ClientCaches>();
    state.is_freezer = false;
    Arrived other = arrive_with(of_stock(state), 1);
    EXPECT_FALSE(empties(other));
    EXPECT_FALSE(is_kept(draw_icon(other))) << "the source's images are still there";
    // Between our servers the cache goes along: there is nothing to empty.
    caches_ = std::make_shared<ClientCaches>();
    EXPECT_FALSE(empties(arrive_with(write_display_blob(some_state()))));
}

// The cache is emptied only when the others' last uses of it are over.
TEST_F(DisplayStateTest, PixmapCacheClients) {
    DisplayBlob state = some_state();
    state.image_uses = {90, 70, 0, 35};
    Arrived freezer = arrive_with(of_stock(state));
    const auto waits = emptied(freezer);
    ASSERT_EQ(waits.size(), 2u);
    EXPECT_EQ(waits[0].channel_id, 1);
    EXPECT_EQ(waits[0].message_serial, 70u);
    EXPECT_EQ(waits[1].channel_id, 3);
    EXPECT_EQ(waits[1].message_serial, 35u);

    // What another channel's state says of the same is the truth where it is later.
    caches_ = std::make_shared<ClientCaches>();
    DisplayBlob other = state;
    other.is_freezer = false;
    other.image_uses = {90, 80, 0, 0};
    Arrived first = arrive_with(of_stock(other), 1);
    Arrived second = arrive_with(of_stock(state));
    ASSERT_EQ(emptied(second).size(), 2u);
    EXPECT_EQ(emptied(second)[0].message_serial, 80u);
}

// Whoever uses the cache next waits until it has been emptied: once, and whichever came first.
TEST_F(DisplayStateTest, PixmapCacheGeneration) {
    for (const bool freezer_first : {true, false}) {
        caches_ = std::make_shared<ClientCaches>();
        Arrived freezer = arrive(0), other = arrive(1);
        DisplayBlob state = some_state();
        const Bytes of_freezer = of_stock(state);
        state.is_freezer = false;
        const Bytes of_other = of_stock(state);
        if (freezer_first) {
            ASSERT_TRUE(bring(freezer, of_freezer));
        }
        ASSERT_TRUE(bring(other, of_other));
        if (!freezer_first) {
            ASSERT_TRUE(bring(freezer, of_freezer));
        }

        auto sent = draw_icon(other);
        ASSERT_EQ(sent.size(), 2u);
        ASSERT_EQ(sent[0].number, wire::common::WaitForChannels::kFromServer);
        const auto wait = wire::parse<wire::common::WaitForChannels>(sent[0].body).value();
        ASSERT_EQ(wait.wait_list.size(), 1u);
        EXPECT_EQ(wait.wait_list[0].channel_type, wire::ChannelType::display);
        EXPECT_EQ(wait.wait_list[0].channel_id, 0);
        EXPECT_EQ(wait.wait_list[0].message_serial, 102u) << "SET_ACK, and the emptying";
        EXPECT_TRUE(is_kept(sent));
        sent = draw_icon(other, kIcon + (1ull << 32));
        EXPECT_EQ(sent.size(), 1u);
        EXPECT_TRUE(is_kept(sent));
        sent = draw_icon(freezer, kIcon + (2ull << 32));
        EXPECT_EQ(sent.size(), 1u) << "who emptied it waits for nobody";
        EXPECT_TRUE(is_kept(sent));
    }
}

TEST_F(DisplayStateTest, GlzDictionaryId) {
    DisplayBlob state = some_state();
    state.knowledge.glz_window = 1 << 16;
    state.knowledge.glz_dictionary_id = 3;
    const Arrived one = arrive_with(of_stock(state));
    state.is_freezer = false;
    const Arrived same = arrive_with(of_stock(state), 1);
    state.knowledge.glz_dictionary_id = 4;
    const Arrived other = arrive_with(of_stock(state), 2);
    EXPECT_EQ(one.channel->encoder().dictionary(), same.channel->encoder().dictionary());
    EXPECT_NE(one.channel->encoder().dictionary(), other.channel->encoder().dictionary());
}

TEST_F(DisplayStateTest, GlzWindowPixels) {
    DisplayBlob state = some_state();
    state.knowledge.glz_window = 12345;
    const Arrived one = arrive_with(of_stock(state));
    ASSERT_NE(one.channel->encoder().dictionary(), nullptr);
    EXPECT_EQ(one.channel->encoder().dictionary()->window_pixels(), 12345u);
    caches_ = std::make_shared<ClientCaches>();
    state.knowledge.glz_window = 0;
    EXPECT_EQ(arrive_with(of_stock(state)).channel->encoder().dictionary(), nullptr);
    // More than any client announces.
    Bytes hostile = of_stock(some_state());
    store<ByteOrder::little, std::uint32_t>(hostile.data() + 60, 0xffffffff);
    Arrived victim = arrive();
    EXPECT_FALSE(bring(victim, hostile));
}

// How many encoders stock's dictionary has is its own affair, but it must be a number it can have.
TEST_F(DisplayStateTest, GlzEncoders) {
    Bytes state = of_stock(some_state());
    EXPECT_EQ((load<ByteOrder::little, std::uint32_t>(state.data() + 64)), 4u);
    store<ByteOrder::little, std::uint32_t>(state.data() + 64, 17);
    Arrived one = arrive();
    EXPECT_FALSE(bring(one, state));
}

// Two channels of one dictionary: neither may use an id again that the other has used.
TEST_F(DisplayStateTest, GlzLastImageId) {
    DisplayBlob state = some_state();
    state.knowledge.glz_window = 1 << 16;
    state.knowledge.glz_last_image_id = 7;
    Arrived one = arrive();
    one.channel->wait_for_machine();
    ASSERT_TRUE(bring(one, of_stock(state)));
    EXPECT_EQ(one.channel->encoder().dictionary()->next_id(), 7u);
    state.is_freezer = false;
    state.knowledge.glz_last_image_id = 9;
    Arrived two = arrive(1);
    two.channel->wait_for_machine();
    ASSERT_TRUE(bring(two, of_stock(state)));
    EXPECT_EQ(one.channel->encoder().dictionary()->next_id(), 9u);
    // And at the source each says where the dictionary stands, not what it has put there itself.
    const auto written = [](const Arrived& from) {
        return read_display_blob(
                   wire::SharedBytes::take(std::move(*from.channel->carried_state(false))))
            ->knowledge.glz_last_image_id;
    };
    EXPECT_EQ(written(one), 9u);
    EXPECT_EQ(written(two), 9u);
}

// Without sizes the surface is announced again; what it is not, it is sent.
TEST_F(DisplayStateTest, SurfacesWithoutRectangles) {
    const Arrived one = arrive_with(of_stock(some_state()));
    EXPECT_EQ(one.channel->knowledge().surfaces.count(0), 1u);
    Bytes hostile = of_stock(some_state());
    store<ByteOrder::little, std::uint32_t>(hostile.data() + 84, 1024);
    Arrived victim = arrive();
    EXPECT_FALSE(bring(victim, hostile)) << "a surface that no device has";
}

// What was lossy at the source is made exact here when it rests.
TEST_F(DisplayStateTest, SurfacesWithLossyRectangles) {
    DisplayBlob state = some_state();
    SurfaceKnowledge& primary = state.knowledge.surfaces[0];
    primary.width = 64;
    primary.height = 32;
    primary.format = SPICE_SURFACE_FMT_32_xRGB;
    primary.marked = true;
    primary.lossy = canvas::Region(canvas::Rect{8, 8, 24, 16});
    state.has_lossy_list = true;
    Arrived one = arrive();
    channel_ = std::move(one.channel);
    guest_->destroy_primary(0);
    create_primary(64, 32, true);  // the machine comes, with its pixels
    one.channel = std::move(channel_);
    ASSERT_TRUE(bring(one, write_display_blob(state)));
    EXPECT_TRUE(one.channel->has_lossy());
    one.sent->messages.clear();
    one.channel->rest();
    one.channel->rest();
    EXPECT_EQ(one.sent->take_numbers().size(), 1u) << "once: as a picture, or as a fill";
    EXPECT_FALSE(one.channel->has_lossy());
}

TEST_F(DisplayStateTest, AListOfTheOtherFormIsRefused) {
    DisplayBlob state = some_state();
    const Bytes plain = write_display_blob(state);
    state.has_lossy_list = true;
    const Bytes lossy = write_display_blob(state);
    Bytes mixed(lossy.begin(), lossy.begin() + 104);
    mixed.insert(mixed.end(), plain.begin() + 88, plain.end());
    Arrived one = arrive();
    const Result<> taken = bring(one, mixed);
    ASSERT_FALSE(taken);
    EXPECT_NE(taken.error().message.find("JPEG must be set alike"), std::string::npos)
        << taken.error().message;
}

// The target compares with these digests what its machine draws.
TEST_F(DisplayStateTest, WhatIsPendingBelongsToWhatIsShown) {
    init();
    channel_->pump();
    const Bytes black = channel_->shown();
    fill(0, 0, 64, 32);
    EXPECT_TRUE(device_.released.empty()) << "it waits";
    const Bytes filled = channel_->shown();
    EXPECT_NE(filled, black);
    EXPECT_EQ(device_.released.size(), 1u);
    guest_->draw_pending();
    EXPECT_EQ(channel_->shown(), filled);
}

// At the source: the first channel that writes its state speaks for the cache, with all uses.
TEST_F(DisplayStateTest, OneChannelCarriesTheCache) {
    DisplayOutput second_output;
    auto second = make_channel(second_output, false, 1);
    display::Init message;
    message.pixmap_cache_size = 4096;
    ASSERT_TRUE(channel_->receive(from_client(message)));
    ASSERT_TRUE(second->receive(from_client(message)));
    copy(put_image(kIcon, QXL_IMAGE_CACHE, 16, 16, 1), 0, 0, 16, 16);
    const std::uint64_t use = channel_->messages_sent();
    const auto state_of = [](DisplayChannel& channel) {
        return read_display_blob(wire::SharedBytes::take(std::move(*channel.carried_state(false))))
            .value();
    };
    const DisplayBlob of_second = state_of(*second), of_first = state_of(*channel_);
    EXPECT_TRUE(of_second.is_freezer);
    EXPECT_FALSE(of_first.is_freezer);
    EXPECT_TRUE(state_of(*second).is_freezer) << "it stays so";
    EXPECT_EQ(of_second.image_uses, (SharedImages::LastUses{use, 0, 0, 0}));
    EXPECT_EQ(of_first.knowledge.images.count(), 1u);
    EXPECT_EQ(of_second.knowledge.images.count(), 0u) << "each image is told once";
    second.reset();
    EXPECT_TRUE(state_of(*channel_).is_freezer) << "the other has gone";
}

}  // namespace
}  // namespace segue::spice::server
