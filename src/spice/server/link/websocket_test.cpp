// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/link/websocket.h"

#include <gtest/gtest.h>

namespace segue::spice::server {
namespace {

// The example of RFC 6455, 1.3.
constexpr std::string_view kRequest =
    "GET /chat HTTP/1.1\r\n"
    "Host: server.example.com\r\n"
    "Upgrade: websocket\r\n"
    "Connection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "sec-websocket-protocol: chat, binary\r\n"
    "Sec-WebSocket-Version: 13\r\n"
    "\r\n";

Bytes frame(std::uint8_t first, const Bytes& data) {
    const std::array<std::uint8_t, 4> mask = {0x37, 0xfa, 0x21, 0x3d};
    BigWriter writer;
    writer.u8(first);
    if (data.size() < 126) {
        writer.u8(static_cast<std::uint8_t>(0x80 | data.size()));
    } else if (data.size() < 65536) {
        writer.u8(0x80 | 126);
        writer.u16(static_cast<std::uint16_t>(data.size()));
    } else {
        writer.u8(0x80 | 127);
        writer.u64(data.size());
    }
    writer.bytes(mask);
    for (std::size_t at = 0; at < data.size(); ++at)
        writer.u8(data[at] ^ mask[at % 4]);
    return writer.take();
}

TEST(WebSocket, TheHandshakeOfTheStandard) {
    for (std::size_t size = 0; size < kRequest.size(); ++size) {
        const auto part = upgrade_to_websocket(as_bytes(kRequest.substr(0, size)));
        ASSERT_TRUE(part);
        EXPECT_FALSE(*part) << size;
    }
    const auto whole = upgrade_to_websocket(as_bytes(std::string(kRequest) + "rest"));
    ASSERT_TRUE(whole && *whole);
    EXPECT_EQ((*whole)->used, kRequest.size());
    EXPECT_NE((*whole)->reply.find("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
              std::string::npos);
    EXPECT_NE((*whole)->reply.find("Sec-WebSocket-Protocol: binary\r\n"), std::string::npos);
}

TEST(WebSocket, OtherRequestsAndEndlessOnesAreRefused) {
    EXPECT_FALSE(upgrade_to_websocket(as_bytes("GET / HTTP/1.1\r\nHost: a\r\n\r\n")));
    EXPECT_FALSE(upgrade_to_websocket(as_bytes("GET " + std::string(9000, 'a'))));
}

TEST(WebSocket, FramesComeOutAsTheyWereCut) {
    Bytes stream;
    Bytes expected;
    for (const std::size_t size : {0u, 1u, 125u, 126u, 65535u, 65536u}) {
        const Bytes data(size, static_cast<std::uint8_t>(size % 251));
        const Bytes one = frame(size % 2 == 0 ? 0x82 : 0x02, data);
        stream.insert(stream.end(), one.begin(), one.end());
        expected.insert(expected.end(), data.begin(), data.end());
    }
    for (const std::size_t step : {1u, 7u, 1000u, 1000000u}) {
        WebSocketFilter filter;
        Bytes plain;
        Bytes to_peer;
        for (std::size_t at = 0; at < stream.size(); at += step) {
            const std::size_t size = std::min(step, stream.size() - at);
            ASSERT_TRUE(filter.receive(ByteView(stream).subspan(at, size), plain, to_peer));
        }
        EXPECT_EQ(plain, expected);
        EXPECT_TRUE(to_peer.empty());
    }
}

TEST(WebSocket, AnswersAPingAndAClose) {
    WebSocketFilter filter;
    Bytes plain;
    Bytes to_peer;
    ASSERT_TRUE(filter.receive(frame(0x89, {1, 2}), plain, to_peer));
    EXPECT_EQ(to_peer, (Bytes{0x8a, 2, 1, 2}));
    to_peer.clear();
    EXPECT_FALSE(filter.receive(frame(0x88, {}), plain, to_peer));
    EXPECT_EQ(to_peer, (Bytes{0x88, 0}));
    EXPECT_TRUE(filter.closed_by_peer());
    EXPECT_TRUE(plain.empty());
}

TEST(WebSocket, FramesThatAreNoClientsAreRefused) {
    for (const Bytes& bad :
         {Bytes{0x82, 1, 0}, Bytes{0xc2, 0x80, 0, 0, 0, 0}, Bytes{0x83, 0x80, 0, 0, 0, 0},
          Bytes{0x09, 0x80, 0, 0, 0, 0}, Bytes{0x89, 0xfe, 1, 0, 0, 0, 0, 0}}) {
        WebSocketFilter filter;
        Bytes plain;
        Bytes to_peer;
        EXPECT_FALSE(filter.receive(bad, plain, to_peer));
    }
}

TEST(WebSocket, SendsOneFrameAPiece) {
    WebSocketFilter filter;
    Bytes out;
    ASSERT_TRUE(filter.send(Bytes(200, 5), out));
    EXPECT_EQ(Bytes(out.begin(), out.begin() + 4), (Bytes{0x82, 126, 0, 200}));
    EXPECT_EQ(out.size(), 204u);
}

}  // namespace
}  // namespace segue::spice::server
