// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/cursor/cursor_channel.h"

#include <gtest/gtest.h>

#include "spice/server/chardev/fake_char_device.h"

namespace segue::spice::server {
namespace {

namespace cursor = wire::cursor;
using cursor::CursorFlags;
using wire::SharedBytes;

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

    // The channel of the same client at another server, which waits for what it brings.
    std::unique_ptr<CursorChannel> arriving() {
        ChannelSetup setup;
        setup.key.type = wire::ChannelType::cursor;
        setup.expects_data = true;
        auto made = std::make_unique<CursorChannel>(setup, there_, there_state_);
        made->carry_state();
        made->start();
        wire::common::AckSync synced;
        synced.generation = there_.take<wire::common::SetAck>().value().generation;
        EXPECT_TRUE(made->receive(from_client(synced)));
        // Its device shows the pointer that it was loaded with.
        there_state_->shape =
            state_->shape ? std::make_shared<CursorShape>(*state_->shape) : nullptr;
        there_state_->x = state_->x;
        CursorCommand command;
        command.kind = CursorCommand::Kind::set;
        made->changed(command);
        made->pump();
        EXPECT_TRUE(there_.messages.empty()) << "it is held";
        return made;
    }

    std::shared_ptr<CursorState> state_ = std::make_shared<CursorState>();
    FakeOutput output_;
    std::unique_ptr<CursorChannel> channel_;
    std::shared_ptr<CursorState> there_state_ = std::make_shared<CursorState>();
    FakeOutput there_;
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

// --- Beside the client --------------------------------------------------------------------------

TEST_F(CursorChannelTest, WhatWasToldBesideTheClientIsNotSaidAgain) {
    channel_->carry_state();
    set_shape(7);
    set_shape(8);
    move_to(5);
    output_.messages.clear();
    const auto told = channel_->carried_state(true);
    ASSERT_TRUE(told);
    channel_->set_carried();
    channel_->migrate();
    EXPECT_TRUE(output_.take<wire::common::Migrate>());
    EXPECT_TRUE(output_.messages.empty()) << "its cache stays";

    const auto target = arriving();
    ASSERT_TRUE(target->take_state(SharedBytes::copy(*told)));
    EXPECT_TRUE(there_.messages.empty()) << "the client shows it";
    // What is kept of before is kept on.
    there_state_->shape = std::make_shared<CursorShape>();
    auto shape = std::make_shared<CursorShape>();
    shape->unique = 7;
    shape->width = shape->height = 4;
    shape->data = Bytes(64, 0x5a);
    there_state_->shape = shape;
    CursorCommand command;
    command.kind = CursorCommand::Kind::set;
    target->changed(command);
    target->pump();
    EXPECT_EQ(there_.take<cursor::Set>().value().cursor.flags, CursorFlags::from_cache);
    there_state_->x = 6;
    command.kind = CursorCommand::Kind::move;
    target->changed(command);
    target->pump();
    EXPECT_EQ(there_.take<cursor::Move>().value().position.x, 6);
    EXPECT_TRUE(there_.messages.empty());
}

// QEMU resets a QXL device before it loads it.
TEST_F(CursorChannelTest, TheResetOfADeviceThatIsLoadedIsNotSaid) {
    channel_->carry_state();
    set_shape(7);
    for (const bool shows_it_again : {true, false}) {
        const auto told = channel_->carried_state(true);
        there_.messages.clear();
        const auto target = arriving();
        target->reset();
        CursorCommand command;
        command.kind = CursorCommand::Kind::set;
        if (shows_it_again) target->changed(command);
        if (!shows_it_again) there_state_->shape = nullptr;
        ASSERT_TRUE(target->take_state(SharedBytes::copy(*told)));
        EXPECT_EQ(there_.take<cursor::Reset>().has_value(), !shows_it_again);
        EXPECT_TRUE(there_.messages.empty());
    }
}

TEST_F(CursorChannelTest, WhatChangedBehindTheStateIsSaidThere) {
    channel_->carry_state();
    set_shape(7);
    const auto told = channel_->carried_state(true);
    output_.messages.clear();
    set_shape(8);
    move_to(9);
    EXPECT_TRUE(output_.messages.empty()) << "the state stays true";
    const auto target = arriving();
    ASSERT_TRUE(target->take_state(SharedBytes::copy(*told)));
    const auto set = there_.take<cursor::Set>();
    ASSERT_TRUE(set);
    EXPECT_EQ(set->cursor.header.unique, 8u);
    EXPECT_EQ(set->position.x, 9);
    channel_->thaw();
    EXPECT_EQ(flags_set(), CursorFlags::cache_me) << "the machine stays";
}

TEST_F(CursorChannelTest, AMoveAloneIsSaidAsAMove) {
    channel_->carry_state();
    set_shape(7);
    const auto told = channel_->carried_state(true);
    move_to(9);
    const auto target = arriving();
    ASSERT_TRUE(target->take_state(SharedBytes::copy(*told)));
    EXPECT_EQ(there_.take<cursor::Move>().value().position.x, 9);
    EXPECT_TRUE(there_.messages.empty());
}

TEST_F(CursorChannelTest, AClientThatWasResetIsInitialisedThere) {
    channel_->carry_state();
    set_shape(7);
    channel_->reset();
    const auto told = channel_->carried_state(true);
    const auto target = arriving();
    ASSERT_TRUE(target->take_state(SharedBytes::copy(*told)));
    EXPECT_EQ(there_.take<cursor::Init>().value().cursor.flags, CursorFlags::cache_me);
    EXPECT_TRUE(there_.messages.empty());
}

// The state was told, and the target did not say in time that it has it: it may, though.
TEST_F(CursorChannelTest, WhatWasToldStaysTrueWhereTheTargetIsLate) {
    channel_->carry_state();
    set_shape(7);
    const auto told = channel_->carried_state(true);
    output_.messages.clear();
    set_shape(8);
    channel_->migrate();
    EXPECT_TRUE(output_.take<wire::common::Migrate>());
    EXPECT_TRUE(output_.messages.empty());
}

TEST_F(CursorChannelTest, StateThatIsLateOnlyAddsWhatIsKept) {
    channel_->carry_state();
    set_shape(7);
    set_shape(8);
    const auto told = channel_->carried_state(true);
    const auto target = arriving();
    target->stop_waiting();
    EXPECT_EQ(there_.take<cursor::Set>().value().cursor.flags, CursorFlags::cache_me);
    ASSERT_TRUE(target->take_state(SharedBytes::copy(*told)));
    EXPECT_TRUE(there_.messages.empty());
    auto shape = std::make_shared<CursorShape>(*state_->shape);
    shape->unique = 7;
    there_state_->shape = shape;
    CursorCommand command;
    command.kind = CursorCommand::Kind::set;
    target->changed(command);
    target->pump();
    EXPECT_EQ(there_.take<cursor::Set>().value().cursor.flags, CursorFlags::from_cache);
}

TEST_F(CursorChannelTest, StateThatIsNoneIsRefused) {
    const auto target = arriving();
    EXPECT_FALSE(target->take_state(SharedBytes::copy(Bytes(40, 0x41))));
    channel_->carry_state();
    set_shape(7);
    const Bytes told = channel_->carried_state(true).value();
    for (std::size_t size = 0; size < told.size(); ++size)
        EXPECT_FALSE(target->take_state(SharedBytes::copy(ByteView(told).subspan(0, size))))
            << size;
    EXPECT_TRUE(target->take_state(SharedBytes::copy(told)));
}

}  // namespace
}  // namespace segue::spice::server
