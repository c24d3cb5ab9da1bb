// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/wire/framing.h"

#include <gtest/gtest.h>

#include "spice/wire/common.schema.h"

namespace segue::spice::wire {
namespace {

constexpr std::size_t kMaxBody = 1 << 20;

Bytes ping_frames(HeaderKind kind, int count, std::size_t size) {
    MessageWriter writer(kind);
    std::vector<SharedBytes> pieces;
    for (int i = 0; i < count; ++i) {
        common::Ping ping{static_cast<std::uint32_t>(i), 7, {}};
        ping.data.append(SharedBytes::take(Bytes(size, 0x55)));
        EXPECT_TRUE(writer.frame(encode_from_server(ping), pieces));
    }
    EXPECT_EQ(writer.serial(), static_cast<std::uint64_t>(count));
    return flatten(pieces);
}

TEST(Framing, HeadersHaveTheirWireForm) {
    MessageWriter mini(HeaderKind::mini);
    MessageWriter full(HeaderKind::full);
    std::vector<SharedBytes> pieces;
    mini.frame(encode_from_client(common::AckSync{9}), pieces);
    EXPECT_EQ(flatten(pieces), (Bytes{1, 0, 4, 0, 0, 0, 9, 0, 0, 0}));
    pieces.clear();
    full.frame(encode_from_client(common::AckSync{9}), pieces);
    EXPECT_EQ(flatten(pieces),
              (Bytes{1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 4, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0}));
}

TEST(Framing, AnyCutOfTheStreamGivesTheSameMessages) {
    for (const HeaderKind kind : {HeaderKind::mini, HeaderKind::full}) {
        const Bytes stream = ping_frames(kind, 5, 30);
        for (std::size_t cut = 1; cut <= stream.size(); ++cut) {
            MessageReader reader(kind, kMaxBody);
            std::uint32_t seen = 0;
            for (std::size_t at = 0; at < stream.size(); at += cut) {
                reader.feed(ByteView(stream).subspan(at, std::min(cut, stream.size() - at)));
                while (auto message = reader.next().value()) {
                    const auto ping = parse<common::Ping>(message->body).value();
                    EXPECT_EQ(ping.id, seen++);
                    EXPECT_EQ(ping.data.size(), 30u);
                    EXPECT_EQ(message->serial, seen);
                }
            }
            ASSERT_EQ(seen, 5u) << "cut " << cut;
        }
    }
}

TEST(Framing, LargeBodiesArriveInPlace) {
    const Bytes stream = ping_frames(HeaderKind::mini, 3, 300000);
    MessageReader reader(HeaderKind::mini, kMaxBody);
    std::size_t at = 0;
    int seen = 0;
    while (at < stream.size()) {
        const std::span<std::uint8_t> to = reader.space();
        ASSERT_FALSE(to.empty());
        const std::size_t size = std::min({to.size(), stream.size() - at, std::size_t{50001}});
        std::memcpy(to.data(), stream.data() + at, size);
        reader.commit(size);
        at += size;
        while (auto message = reader.next().value()) {
            EXPECT_EQ(parse<common::Ping>(message->body).value().data.size(), 300000u);
            ++seen;
        }
    }
    EXPECT_EQ(seen, 3);
}

TEST(Framing, MoreInputThanAskedForIsKept) {
    const Bytes stream = ping_frames(HeaderKind::mini, 4000, 30);
    MessageReader reader(HeaderKind::mini, kMaxBody);
    reader.feed(stream);
    int seen = 0;
    while (reader.next().value())
        ++seen;
    EXPECT_EQ(seen, 4000);
}

TEST(Framing, AMessageAboveTheLimitIsRefusedBeforeItsBody) {
    MessageReader reader(HeaderKind::mini, 1000);
    reader.feed(Bytes{4, 0, 0xe9, 3, 0, 0});
    const auto next = reader.next();
    ASSERT_FALSE(next);
    EXPECT_EQ(next.error().code, ErrorCode::limit_exceeded);
    EXPECT_EQ(next.error().message, "SPICE message 4 has 1001 bytes, at most 1000 are allowed");
}

TEST(Framing, SubMessagesComeBeforeTheirMessage) {
    LittleWriter body;
    body.u32(5);  // the outer AckSync
    const auto inner = static_cast<std::uint32_t>(body.size());
    body.u16(1);
    body.u32(4);
    body.u32(6);
    const auto list = static_cast<std::uint32_t>(body.size());
    body.u16(1);
    body.u32(inner);
    const auto stream = [&](std::uint32_t list_at) {
        LittleWriter out;
        out.u64(40);
        out.u16(1);
        out.u32(static_cast<std::uint32_t>(body.size()));
        out.u32(list_at);
        out.bytes(body.view());
        return out.take();
    };
    MessageReader reader(HeaderKind::full, kMaxBody);
    reader.feed(stream(list));
    EXPECT_EQ(parse<common::AckSync>(reader.next().value()->body)->generation, 6u);
    const auto outer = reader.next().value();
    EXPECT_EQ(parse<common::AckSync>(outer->body)->generation, 5u);
    EXPECT_EQ(outer->serial, 40u);
    EXPECT_FALSE(reader.next().value());

    for (std::uint32_t at = 1; at < 40; ++at) {
        if (at == list) continue;
        MessageReader hostile(HeaderKind::full, kMaxBody);
        hostile.feed(stream(at));
        const auto next = hostile.next();
        if (!next) {
            EXPECT_EQ(next.error().code, ErrorCode::protocol);
        }
    }
}

// One message of some hundred thousand bytes would be handled as gigabytes.
TEST(Framing, SubMessagesThatShareTheirBytesAreRefused) {
    constexpr std::uint16_t kCount = 5;
    const auto stream = [](std::uint32_t size, std::uint16_t items) {
        LittleWriter body;
        body.u16(1);
        body.u32(size);
        body.bytes(Bytes(200));
        const auto list = static_cast<std::uint32_t>(body.size());
        body.u16(items);
        for (std::uint16_t item = 0; item < items; ++item)
            body.u32(0);
        LittleWriter out;
        out.u64(1);
        out.u16(1);
        out.u32(static_cast<std::uint32_t>(body.size()));
        out.u32(list);
        out.bytes(body.view());
        return out.take();
    };
    MessageReader one(HeaderKind::full, kMaxBody);
    one.feed(stream(200, 1));
    EXPECT_EQ(one.next().value()->body.size(), 200u);
    MessageReader several(HeaderKind::full, kMaxBody);
    several.feed(stream(200, kCount));
    const auto refused = several.next();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::protocol);
}

TEST(Framing, ABrokenMessageIsNotSent) {
    MessageWriter writer(HeaderKind::mini);
    std::vector<SharedBytes> pieces;
    EncodedMessage message = encode_from_client(common::Ack{});
    message.broken_field = "name";
    EXPECT_FALSE(writer.frame(message, pieces));
    EXPECT_TRUE(pieces.empty());
    EXPECT_EQ(writer.serial(), 0u);
}

TEST(Framing, WhatIsKeptForAPeerIsBoundedOverAllItsStreams) {
    const auto budget = std::make_shared<MemoryBudget>(std::size_t{1} << 20);
    const Bytes stream = ping_frames(HeaderKind::mini, 1, 700000);
    MessageReader one(HeaderKind::mini, kMaxBody, budget);
    one.feed(stream);
    auto message = one.next().value();
    ASSERT_TRUE(message);
    const std::size_t whole = budget->taken();
    EXPECT_GE(whole, 700000u);
    // Half of another one, whose rest never comes.
    {
        MessageReader other(HeaderKind::mini, kMaxBody, budget);
        other.feed(ByteView(stream).first(stream.size() / 2));
        const auto refused = other.next();
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, ErrorCode::limit_exceeded);
        EXPECT_NE(refused.error().message.find("1048576"), std::string::npos);
        EXPECT_FALSE(other.next()) << "an error is final";
    }
    EXPECT_EQ(budget->taken(), whole) << "what never became a message is given back";
    // A part of the message keeps all of its memory.
    SharedBytes part = message->body.slice(0, 10);
    message.reset();
    EXPECT_EQ(budget->taken(), whole);
    part = {};
    EXPECT_EQ(budget->taken(), 0u);
}

TEST(Framing, BytesThatArriveInPlaceAreCountedToo) {
    const auto budget = std::make_shared<MemoryBudget>(100000);
    const Bytes stream = ping_frames(HeaderKind::mini, 1, 700000);
    MessageReader reader(HeaderKind::mini, kMaxBody, budget);
    std::size_t at = 0;
    Result<std::optional<IncomingMessage>> message;
    while (at < stream.size() && (message = reader.next()) && !message->has_value()) {
        const std::span<std::uint8_t> to = reader.space();
        const std::size_t size = std::min(to.size(), stream.size() - at);
        std::memcpy(to.data(), stream.data() + at, size);
        reader.commit(size);
        at += size;
    }
    ASSERT_FALSE(message);
    EXPECT_LT(at, 300000u);
    EXPECT_LE(budget->taken(), 100000u);
}

}  // namespace
}  // namespace segue::spice::wire
