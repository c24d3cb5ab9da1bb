// SPDX-License-Identifier: LGPL-2.1-or-later
// What libvirt's own client and daemon said to each other: each message is read whole, and written
// again to the same bytes.
#include <gtest/gtest.h>

#include "rpc/event.schema.h"
#include "rpc/framer.h"
#include "rpc/golden_packets.h"
#include "rpc/migration.schema.h"
#include "rpc/packet.h"
#include "rpc/qemu.schema.h"
#include "rpc/remote.schema.h"
#include "rpc/remote_error.h"

namespace segue::rpc {
namespace {

Bytes from_hex(std::string_view text) {
    Bytes bytes;
    for (std::size_t at = 0; at + 1 < text.size(); at += 2)
        bytes.push_back(
            static_cast<std::uint8_t>(std::stoi(std::string(text.substr(at, 2)), nullptr, 16)));
    return bytes;
}

enum Kind { kCall, kReply, kError, kEvent };

template <class P, Kind kKind, class = void>
struct BodyOf {
    using Type = RemoteError;
};
template <class P>
struct BodyOf<P, kCall> {
    using Type = typename P::Call;
};
template <class P>
struct BodyOf<P, kReply> {
    using Type = typename P::Reply;
};
template <class P>
struct BodyOf<P, kEvent> {
    using Type = typename P::Body;
};

Packet parsed(Framer& framer, ByteView bytes) {
    Packet packet;
    framer.feed(bytes);
    const auto found = framer.next(packet);
    EXPECT_TRUE(found) << found.error().message;
    EXPECT_EQ(found.value_or(Framer::Found::nothing), Framer::Found::packet);
    return packet;
}

template <class P, Kind kKind>
void check(const char* hex) {
    using Body = typename BodyOf<P, kKind>::Type;
    const Bytes bytes = from_hex(hex);
    Framer framer;
    const Packet packet = parsed(framer, bytes);
    EXPECT_EQ(packet.header.program, P::kProgram);
    EXPECT_EQ(packet.header.procedure, P::kNumber);
    EXPECT_EQ(packet.header.version, kProgramVersion);
    const auto body = read_body<Body>(packet.payload, P::kName);
    ASSERT_TRUE(body) << body.error().message;
    const auto again = make_packet(packet.header, *body, P::kName);
    ASSERT_TRUE(again);
    EXPECT_EQ(*again, bytes);
}

TEST(Golden, EachMessageIsReadAndWrittenToTheSameBytes) {
#define SEGUE_CHECK(procedure, kind, hex)   \
    {                                       \
        SCOPED_TRACE(#procedure " " #kind); \
        check<procedure, kind>(hex);        \
    }
    SEGUE_GOLDEN_PACKETS(SEGUE_CHECK)
#undef SEGUE_CHECK
}

// The values of a few, so that two wrongs in reader and writer cannot cancel out.
template <class Body>
Body body_of(const char* hex) {
    const Bytes bytes = from_hex(hex);
    Framer framer;
    return read_body<Body>(parsed(framer, bytes).payload, "golden").value();
}

TEST(Golden, ValuesAreTheOnesThatVirshShowed) {
    const auto domain = body_of<remote::DomainReply>(
                            "0000003c200080860000000100000017000000010000000600000000"
                            "00000006676f6c64656e00001122334455664778899aabbccddeeff0ffffffff")
                            .domain;
    EXPECT_EQ(domain.name, "golden");
    EXPECT_EQ(domain.uuid.text(), "11223344-5566-4778-899a-abbccddeeff0");
    EXPECT_EQ(domain.id, -1);
    const auto error = body_of<RemoteError>(
        "000000c82000808600000001000000170000000100000006000000010000002a0000000a0000000100000037"
        "446f6d61696e206e6f7420666f756e643a206e6f20646f6d61696e2077697468206d61746368696e67206e61"
        "6d652027676f6c64656e270000000002000000000000000100000014446f6d61696e206e6f7420666f756e64"
        "3a20257300000001000000256e6f20646f6d61696e2077697468206d61746368696e67206e616d652027676f"
        "6c64656e2700000000000000ffffffffffffffff00000000");
    EXPECT_EQ(error.code, 42);
    EXPECT_EQ(error.domain, 10);
    EXPECT_EQ(error.level, 2);
    EXPECT_EQ(error.message, "Domain not found: no domain with matching name 'golden'");
    const Error ours = from_remote(error);
    EXPECT_EQ(ours.code, ErrorCode::no_domain);
    EXPECT_EQ(to_remote(ours).message, error.message);
    EXPECT_EQ(to_remote({ErrorCode::no_domain, "no domain with matching name 'golden'"}).message,
              error.message);
}

}  // namespace
}  // namespace segue::rpc
