// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/cursor/cursor_channel.h"

#include <gtest/gtest.h>

#include "spice/server/chardev/fake_char_device.h"

namespace segue::spice::server {
namespace {

namespace cursor = wire::cursor;
using cursor::CursorFlags;

class CursorChannelTest : public testing::Test {
  protected:
    CursorChannelTest() {
        ChannelSetup setup;
        setup.key.type = wire::ChannelType::cursor;
        channel_ = std::make_unique<CursorChannel>(setup, output_, state_);
        channel_->start();
        EXPECT_TRUE(output_.take<cursor::Init>());
        wire::common::AckSync synced;
        synced.generation = output_.take<wire::common::SetAck>().value().generation;
        EXPECT_TRUE(channel_->receive(from_client(synced)));
    }
    // The guest sets a shape that it names so.
    void set_shape(std::uint64_t unique) {
        auto shape = std::make_shared<CursorShape>();
        shape->unique = unique;
        shape->width = shape->height = 4;
        shape->data = Bytes(64, 0x5a);
        state_->shape = std::move(shape);
        CursorCommand command;
        command.kind = CursorCommand::Kind::set;
        channel_->changed(command);
        channel_->pump();
        EXPECT_TRUE(channel_->receive(from_client(wire::common::Ack{})));
    }
    void move_to(std::int16_t x) {
        state_->x = x;
        CursorCommand command;
        command.kind = CursorCommand::Kind::move;
        channel_->changed(command);
        channel_->pump();
    }
    std::optional<CursorFlags> flags_set() {
        const auto set = output_.take<cursor::Set>();
        if (!set) return std::nullopt;
        const bool has_pixels = !set->cursor.data.empty();
        EXPECT_NE(has_pixels, wire::has(set->cursor.flags, CursorFlags::from_cache));
        return set->cursor.flags;
    }

    std::shared_ptr<CursorState> state_ = std::make_shared<CursorState>();
    FakeOutput output_;
    std::unique_ptr<CursorChannel> channel_;
};

TEST_F(CursorChannelTest, AShapeGoesOnceAndThenByItsName) {
    set_shape(7);
    EXPECT_EQ(flags_set(), CursorFlags::cache_me);
    set_shape(8);
    EXPECT_EQ(flags_set(), CursorFlags::cache_me);
    set_shape(7);
    EXPECT_EQ(flags_set(), CursorFlags::from_cache);
    set_shape(0);
    EXPECT_EQ(flags_set(), CursorFlags{}) << "it has no name";
}

TEST_F(CursorChannelTest, TheShapeThatWasUsedLongestAgoIsForgotten) {
    for (std::uint64_t unique = 1; unique <= CursorChannel::kMostCached; ++unique)
        set_shape(unique);
    EXPECT_FALSE(output_.take<cursor::InvalOne>());
    output_.messages.clear();
    set_shape(1);
    EXPECT_EQ(flags_set(), CursorFlags::from_cache);
    set_shape(10000);
    EXPECT_EQ(output_.take<cursor::InvalOne>().value().id, 2u);
    EXPECT_EQ(flags_set(), CursorFlags::cache_me);
    set_shape(2);
    EXPECT_EQ(flags_set(), CursorFlags::cache_me);
}

// spice-gtk takes no SET and no MOVE between a RESET and the next INIT, which empties its cache.
TEST_F(CursorChannelTest, BehindAResetComesAnInit) {
    set_shape(7);
    output_.messages.clear();
    *state_ = {};
    channel_->reset();
    channel_->reset();
    EXPECT_TRUE(output_.take<cursor::Reset>());
    EXPECT_TRUE(output_.messages.empty()) << "once is enough";
    set_shape(7);
    const auto init = output_.take<cursor::Init>();
    ASSERT_TRUE(init);
    EXPECT_EQ(init->cursor.flags, CursorFlags::cache_me);
    EXPECT_FALSE(init->cursor.data.empty());
    EXPECT_TRUE(output_.messages.empty());
    set_shape(7);
    EXPECT_EQ(flags_set(), CursorFlags::from_cache);
    channel_->reset();
    EXPECT_TRUE(output_.take<cursor::Reset>());
    move_to(5);
    EXPECT_EQ(output_.take<cursor::Init>().value().position.x, 5);
    EXPECT_TRUE(output_.messages.empty());
    move_to(6);
    EXPECT_EQ(output_.take<cursor::Move>().value().position.x, 6);
}

TEST_F(CursorChannelTest, TheNextServerFindsAClientThatKeepsNothing) {
    set_shape(7);
    output_.messages.clear();
    channel_->migrate();
    EXPECT_TRUE(output_.take<cursor::InvalAll>());
}

TEST_F(CursorChannelTest, TheNextServerFindsAClientThatWasInitialised) {
    channel_->reset();
    channel_->migrate();
    EXPECT_TRUE(output_.take<cursor::Init>());
    EXPECT_FALSE(output_.take<cursor::InvalAll>());
}

}  // namespace
}  // namespace segue::spice::server
