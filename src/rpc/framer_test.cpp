// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rpc/framer.h"

#include <gtest/gtest.h>

#include "rpc/packet.h"

namespace segue::rpc {
namespace {

Bytes packet_of(std::uint32_t serial, std::size_t payload) {
    Header header;
    header.program = 0x20008086;
    header.version = 1;
    header.procedure = 23;
    header.serial = serial;
    return make_raw_packet(header, Bytes(payload, static_cast<std::uint8_t>(serial)));
}

// Feeds `bytes` in portions of `portion` and gives the serials and payload sizes that come out.
Result<std::vector<std::pair<std::uint32_t, std::size_t>>> cut(ByteView bytes,
                                                               std::size_t portion) {
    Framer framer;
    std::vector<std::pair<std::uint32_t, std::size_t>> found;
    while (!bytes.empty()) {
        const std::size_t size = std::min(portion, bytes.size());
        framer.feed(bytes.first(size));
        bytes = bytes.subspan(size);
        Packet packet;
        while (TRY(framer.next(packet)) == Framer::Found::packet)
            found.emplace_back(packet.header.serial, packet.payload.size());
        framer.keep_rest();
    }
    if (framer.kept() != 0) return fail(ErrorCode::protocol, "{} bytes kept", framer.kept());
    return found;
}

TEST(Framer, FindsMessagesHoweverTheyAreCut) {
    Bytes all;
    std::vector<std::pair<std::uint32_t, std::size_t>> expected;
    for (std::uint32_t serial = 0; serial < 20; ++serial) {
        const std::size_t payload = serial * 13 % 101;
        const Bytes one = packet_of(serial, payload);
        all.insert(all.end(), one.begin(), one.end());
        expected.emplace_back(serial, payload);
    }
    for (std::size_t portion = 1; portion <= all.size(); ++portion) {
        const auto found = cut(all, portion);
        ASSERT_TRUE(found) << found.error().message;
        EXPECT_EQ(*found, expected) << portion;
    }
}

TEST(Framer, ATruncatedMessageIsNoMessage) {
    const Bytes whole = packet_of(1, 40);
    for (std::size_t size = 0; size < whole.size(); ++size) {
        Framer framer;
        framer.feed(ByteView(whole).first(size));
        Packet packet;
        const auto found = framer.next(packet);
        ASSERT_TRUE(found);
        EXPECT_EQ(*found, Framer::Found::nothing);
    }
}

TEST(Framer, RefusesImpossibleLengthsAtOnce) {
    for (const std::uint32_t length : {0u, 4u, 27u, 33554437u, 0xffffffffu}) {
        BigWriter writer;
        writer.u32(length);
        Framer framer;
        framer.feed(writer.view());
        Packet packet;
        const auto found = framer.next(packet);
        ASSERT_FALSE(found) << length;
        EXPECT_EQ(found.error().message,
                  fmt::format("a message of {} bytes: possible are 28 to 33554436", length));
    }
}

TEST(Framer, RefusesUnknownTypesAndStatuses) {
    for (const std::size_t at : {std::size_t{16}, std::size_t{24}}) {
        Bytes bytes = packet_of(1, 0);
        bytes[at + 3] = 9;
        Framer framer;
        framer.feed(bytes);
        Packet packet;
        EXPECT_FALSE(framer.next(packet));
    }
}

TEST(Framer, WaitsForTheBytesThatCarryDescriptors) {
    Header header;
    header.type = MessageType::call_with_descriptors;
    BigWriter body;
    body.u32(2);
    body.u32(7);
    Bytes bytes = make_raw_packet(header, body.view());
    bytes.push_back(0);
    Framer framer;
    framer.feed(bytes);
    Packet packet;
    EXPECT_EQ(framer.next(packet).value(), Framer::Found::nothing);
    framer.keep_rest();
    framer.feed(Bytes{0});
    EXPECT_EQ(framer.next(packet).value(), Framer::Found::packet);
    EXPECT_EQ(packet.descriptors, 2u);
    EXPECT_EQ(packet.payload.size(), 4u);
    framer.keep_rest();
    EXPECT_EQ(framer.kept(), 0u);
}

TEST(Framer, RefusesTooManyDescriptors) {
    Header header;
    header.type = MessageType::call_with_descriptors;
    BigWriter body;
    body.u32(33);
    Framer framer;
    const Bytes bytes = make_raw_packet(header, body.view());
    framer.feed(bytes);
    Packet packet;
    EXPECT_FALSE(framer.next(packet));
}

}  // namespace
}  // namespace segue::rpc
