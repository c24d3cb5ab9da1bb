// SPDX-License-Identifier: LGPL-2.1-or-later
// What every channel does, with a main, an inputs and a cursor channel and no connection at all.
#include <gtest/gtest.h>

#include "spice/client/cursor_channel.h"
#include "spice/client/inputs_channel.h"

namespace segue::spice::client {
namespace {

namespace common = wire::common;
namespace inputs = wire::inputs;

class Host final : public ChannelHost {
  public:
    void on_migrate(ChannelKey, common::MigrateFlags flags) override { migrate_flags = flags; }
    void on_ready_to_move(ChannelKey) override { ready = true; }
    bool is_done(const wire::WaitForChannel&) override { return done; }
    void on_disconnecting(ChannelKey, wire::LinkError) override {}

    std::optional<common::MigrateFlags> migrate_flags;
    bool ready = false;
    bool done = false;
};

class ChannelTest : public testing::Test {
  protected:
    void attach(bool anew = true) {
        channel_.attach([this](wire::EncodedMessage message) { sent_.push_back(message.number); },
                        {}, anew);
    }
    template <class Message>
    Result<> feed(const Message& message) {
        const wire::EncodedMessage encoded = wire::encode_from_server(message);
        return channel_.receive(
            {encoded.number, ++serial_, wire::SharedBytes::take(encoded.body())});
    }
    std::vector<std::uint16_t> take_sent() { return std::exchange(sent_, {}); }

    Host host_;
    InputsChannel channel_{{wire::ChannelType::inputs, 0}, host_, false, [](auto) {}};
    std::vector<std::uint16_t> sent_;
    std::uint64_t serial_ = 0;
};

using Sent = std::vector<std::uint16_t>;
constexpr std::uint16_t kAck = common::Ack::kFromClient;
constexpr std::uint16_t kAckSync = common::AckSync::kFromClient;
constexpr std::uint16_t kPong = common::Pong::kFromClient;
constexpr std::uint16_t kFlush = common::MigrateFlushMark::kFromClient;

TEST_F(ChannelTest, AcknowledgesEveryWindow) {
    attach();
    ASSERT_TRUE(feed(common::SetAck{5, 2}));
    EXPECT_EQ(take_sent(), Sent{kAckSync});
    for (int count = 0; count < 4; ++count)
        ASSERT_TRUE(feed(inputs::MouseMotionAck{}));
    EXPECT_EQ(take_sent(), (Sent{kAck, kAck}));
}

TEST_F(ChannelTest, AnswersPings) {
    attach();
    ASSERT_TRUE(feed(common::Ping{7, 8, {}}));
    EXPECT_EQ(take_sent(), Sent{kPong});
}

TEST_F(ChannelTest, InputDuringAMoveComesBehindTheState) {
    attach();
    channel_.key(0x1e, true);
    EXPECT_EQ(take_sent(), Sent{inputs::KeyDown::kFromClient});
    ASSERT_TRUE(feed(common::Migrate{static_cast<common::MigrateFlags>(3)}));
    ASSERT_TRUE(host_.migrate_flags);
    channel_.begin_move(*host_.migrate_flags);
    EXPECT_EQ(take_sent(), Sent{kFlush});
    channel_.key(0x1e, false);
    EXPECT_EQ(take_sent(), Sent{}) << "nothing follows the flush mark";
    EXPECT_FALSE(host_.ready);
    common::MigrateData state;
    state.data.append(wire::SharedBytes::copy(as_bytes("state")));
    ASSERT_TRUE(feed(state));
    EXPECT_TRUE(host_.ready);
    EXPECT_EQ(channel_.take_state()->data.size(), 5u);
    attach(false);
    EXPECT_EQ(take_sent(), Sent{inputs::KeyUp::kFromClient});
}

TEST_F(ChannelTest, AMoveWithoutStateIsReadyAtOnce) {
    attach();
    channel_.begin_move({});
    EXPECT_TRUE(host_.ready);
    EXPECT_EQ(take_sent(), Sent{});
    EXPECT_FALSE(channel_.take_state());
}

TEST_F(ChannelTest, AServerThatBreaksTheOrderOfAMoveIsAnError) {
    attach();
    EXPECT_FALSE(feed(common::MigrateData{})) << "nobody waits for it";
    channel_.begin_move(static_cast<common::MigrateFlags>(3));
    EXPECT_FALSE(feed(inputs::MouseMotionAck{})) << "only the state may follow";
}

TEST_F(ChannelTest, WaitsForOtherChannelsInOrder) {
    attach();
    ASSERT_TRUE(feed(common::WaitForChannels{{{wire::ChannelType::display, 1, 99}}}));
    ASSERT_TRUE(feed(common::Ping{1, 1, {}}));
    EXPECT_EQ(take_sent(), Sent{});
    EXPECT_TRUE(channel_.is_waiting());
    host_.done = true;
    ASSERT_TRUE(channel_.resume());
    EXPECT_EQ(take_sent(), Sent{kPong});
    EXPECT_FALSE(channel_.is_waiting());
}

TEST_F(ChannelTest, UnknownMessagesAreErrors) {
    attach();
    EXPECT_FALSE(channel_.receive({9999, 1, {}}));
}

TEST_F(ChannelTest, ANewServerHearsWhichKeysAreUp) {
    attach();
    channel_.key(0x2a, true);  // stays down
    channel_.key(0x1e, true);
    channel_.reset(ResetReason::fresh);
    channel_.key(0x1e, false);  // nobody hears that
    channel_.reset(ResetReason::fresh);
    take_sent();
    attach();
    EXPECT_EQ(take_sent(), Sent{inputs::KeyUp::kFromClient});
    for (std::uint32_t code = 1; code < 100; ++code)
        channel_.key(code, false);
    take_sent();
    attach();
    EXPECT_EQ(take_sent().size(), 16u) << "what may be under way is little";
    channel_.reset(ResetReason::fresh);
}

TEST_F(ChannelTest, MovementIsSummedUpWhileTheServerIsBehind) {
    attach();
    for (int count = 0; count < 100; ++count)
        channel_.motion(1, 0);
    EXPECT_EQ(take_sent().size(), 8u);
    ASSERT_TRUE(feed(inputs::MouseMotionAck{}));
    EXPECT_EQ(take_sent(), Sent{inputs::MouseMotion::kFromClient});
    channel_.motion(1, 1);
    channel_.button(inputs::MouseButton::left, true);
    EXPECT_EQ(take_sent().back(), inputs::MousePress::kFromClient);
}

TEST_F(ChannelTest, AReadOnlySessionSendsNoInput) {
    InputsChannel watcher({wire::ChannelType::inputs, 0}, host_, true, [](auto) {});
    std::size_t sent = 0;
    watcher.attach([&](wire::EncodedMessage) { ++sent; }, {}, true);
    watcher.key(1, true);
    watcher.motion(5, 5);
    watcher.position(1, 1, 0);
    watcher.button(inputs::MouseButton::left, true);
    watcher.set_modifiers({});
    EXPECT_EQ(sent, 0u);
}

wire::cursor::CursorHeader header_of(wire::cursor::CursorType type) {
    return {1, type, 8, 2, 3, 1};
}

TEST(CursorShapeTest, MonochromeMasksAndInverts) {
    // AND plane, then XOR plane: pixel 0 black, 1 white, 2 nothing, 3 inverts.
    const Bytes data = {0b0011'1111, 0xff, 0b0101'0000, 0x00};
    const CursorShape shape =
        decode_cursor(header_of(wire::cursor::CursorType::mono), data).value();
    const auto* line = reinterpret_cast<const std::uint32_t*>(shape.image->line(0));
    EXPECT_EQ(line[0], 0xff000000u);
    EXPECT_EQ(line[1], 0xffffffffu);
    EXPECT_EQ(line[2], 0u);
    ASSERT_TRUE(shape.inverts);
    EXPECT_EQ(shape.inverts->line(0)[3], 0xff);
    EXPECT_EQ(shape.hot_x, 3);
}

TEST(CursorShapeTest, EveryTypeChecksItsSize) {
    for (int type = 0; type <= 6; ++type) {
        const auto header = header_of(static_cast<wire::cursor::CursorType>(type));
        Bytes data(4096);
        ASSERT_TRUE(decode_cursor(header, data)) << type;
        std::size_t least = 0;
        while (!decode_cursor(header, ByteView(data).first(least)))
            ++least;
        EXPECT_GE(least, 4u) << type;
        EXPECT_LE(least, 8u * 2 * 4 + 1024 + 2) << type;
    }
}

}  // namespace
}  // namespace segue::spice::client
