// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/link/link_server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "net/socket.h"
#include "net/test_loop.h"

namespace segue::spice::server {
namespace {

constexpr std::string_view kUpgrade =
    "GET / HTTP/1.1\r\n"
    "Upgrade: websocket\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Version: 13\r\n"
    "\r\n";

class LinkServerTest : public testing::Test {
  protected:
    LinkServerTest() { EXPECT_TRUE(server_.start()); }

    // A connection that the server has taken; its other end.
    net::Descriptor connect() {
        auto pair = net::make_socket_pair().value();
        server_.add(std::move(pair[1]), false, false);
        const timeval patience{60, 0};
        ::setsockopt(pair[0].get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        return std::move(pair[0]);
    }
    static bool write(const net::Descriptor& to, ByteView bytes) {
        while (!bytes.empty()) {
            const ssize_t sent = ::send(to.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (sent <= 0) return false;
            bytes = bytes.subspan(static_cast<std::size_t>(sent));
        }
        return true;
    }

    net::TestLoop home_;
    std::shared_ptr<Admission> admission_ = std::make_shared<Admission>();
    LinkServer server_{admission_, *home_, {}, make_asio_loop};
};

// Before its link a peer need not have proved anything: it must not cost memory.
TEST_F(LinkServerTest, WhoPingsAndReadsNothingIsDropped) {
    const net::Descriptor peer = connect();
    const int flags = ::fcntl(peer.get(), F_GETFL);
    ASSERT_EQ(::fcntl(peer.get(), F_SETFL, flags & ~O_NONBLOCK), 0);
    ASSERT_TRUE(write(peer, as_bytes(kUpgrade)));
    constexpr std::size_t kPing = 6 + 125;
    Bytes pings;
    for (int count = 0; count < 500; ++count) {
        const std::size_t at = pings.size();
        pings.resize(at + kPing);
        pings[at] = 0x89;
        pings[at + 1] = 0x80 | 125;
    }
    // Sockets take a part of the answers.
    constexpr std::size_t kMost = 8u << 20;
    std::size_t sent = 0;
    while (sent < kMost && write(peer, pings))
        sent += pings.size();
    EXPECT_LT(sent, kMost);
}

}  // namespace
}  // namespace segue::spice::server
