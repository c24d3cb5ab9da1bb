// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/link/link_server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "net/socket.h"
#include "net/test_certificates.h"
#include "net/test_loop.h"
#include "spice/server/virtual_loop.h"

namespace segue::spice::server {
namespace {

constexpr std::string_view kUpgrade =
    "GET / HTTP/1.1\r\n"
    "Upgrade: websocket\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Version: 13\r\n"
    "\r\n";

bool write(const net::Descriptor& to, ByteView bytes) {
    while (!bytes.empty()) {
        const ssize_t sent = ::send(to.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent <= 0) return false;
        bytes = bytes.subspan(static_cast<std::size_t>(sent));
    }
    return true;
}

// Before its link a peer need not have proved anything: it must not cost memory.
TEST(LinkServer, WhoPingsAndReadsNothingIsDropped) {
    net::TestLoop home;
    const auto admission = std::make_shared<Admission>();
    LinkServer server(admission, *home, {}, make_asio_loop);
    ASSERT_TRUE(server.start());
    auto pair = net::make_socket_pair().value();
    const net::Descriptor peer = std::move(pair[0]);
    const int flags = ::fcntl(peer.get(), F_GETFL);
    ASSERT_EQ(::fcntl(peer.get(), F_SETFL, flags & ~O_NONBLOCK), 0);
    const timeval patience{60, 0};
    ::setsockopt(peer.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    server.add(std::move(pair[1]), false, false);
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
    EXPECT_EQ(admission->unlinked().output_overflows, 1u);
}

// A server whose clock the test moves, and which asks for a password.
class LinkTime : public testing::Test {
  protected:
    LinkTime() : server_(admission_, home_, {}, [this] { return time_.make_loop(); }) {
        LinkRules rules;
        rules.ticket.password = "secret";
        rules.channels[{wire::ChannelType::main, 0}] = {};
        admission_->set_rules(rules);
        EXPECT_TRUE(server_.start());
    }

    // A connection that the server has taken, behind these bytes; its other end.
    net::Descriptor connect(ByteView bytes, bool tls = false) {
        auto pair = net::make_socket_pair().value();
        server_.add(std::move(pair[1]), tls, false);
        run_for({});
        EXPECT_TRUE(write(pair[0], bytes));
        run_for({});
        return std::move(pair[0]);
    }
    void run_for(Duration duration) { time_.run_for(home_, duration); }
    static bool is_closed(const net::Descriptor& peer) {
        std::array<std::uint8_t, 4096> buffer;
        ssize_t got = 0;
        while ((got = ::recv(peer.get(), buffer.data(), buffer.size(), 0)) > 0) {
        }
        return got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
    }

    static Bytes link() {
        wire::ClientLink::Request request;
        request.channel_type = wire::ChannelType::main;
        request.common = wire::Capabilities::of({wire::CommonCapability::auth_selection,
                                                 wire::CommonCapability::auth_spice,
                                                 wire::CommonCapability::mini_header});
        const wire::LinkActions actions = wire::ClientLink(request).start();
        return std::get<wire::SendBytes>(actions.at(0)).bytes;
    }
    // With the mechanism and so much of a ticket, which is wrong.
    static Bytes link_with_ticket(std::size_t size) {
        Bytes bytes = link();
        bytes.insert(bytes.end(), {1, 0, 0, 0});
        bytes.resize(bytes.size() + size);
        return bytes;
    }

    VirtualTime time_;
    VirtualLoop home_{time_};
    std::shared_ptr<Admission> admission_ = std::make_shared<Admission>();
    LinkServer server_;
};

TEST_F(LinkTime, WhoStopsOnItsWayIsClosed) {
    net::TestAuthority authority;
    server_.set_tls(
        net::TlsContext::make(net::TlsSide::server, authority.issue("host", "DNS:host"), false)
            .value());
    Bytes half_mechanism = link();
    half_mechanism.insert(half_mechanism.end(), {1, 0});
    Bytes half_frame(kUpgrade.begin(), kUpgrade.end());
    half_frame.insert(half_frame.end(), {0x82, 0x90, 0, 0});
    const Bytes all = link();
    const Bytes half_ticket = link_with_ticket(64);
    const Bytes nothing;
    // A record of 512 bytes, of which the first say that it is a hello.
    const Bytes half_hello{0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3};
    const struct {
        const char* name;
        ByteView bytes;
        bool tls;
    } cases[] = {
        {"nothing", nothing, false},
        {"half a header", ByteView(all).first(8), false},
        {"half a request", ByteView(all).first(all.size() - 4), false},
        {"a request", all, false},
        {"half a mechanism", half_mechanism, false},
        {"half a ticket", half_ticket, false},
        {"half a web request", as_bytes(kUpgrade.substr(0, 40)), false},
        {"a web request", as_bytes(kUpgrade), false},
        {"half a frame", half_frame, false},
        {"nothing in TLS", nothing, true},
        {"half a TLS hello", half_hello, true},
    };
    control::UnlinkedStatus expected;
    for (const auto& [name, bytes, tls] : cases) {
        SCOPED_TRACE(name);
        const net::Descriptor peer = connect(bytes, tls);
        run_for(LinkServer::kLinkTime - 1ms);
        EXPECT_FALSE(is_closed(peer));
        run_for(1ms);
        EXPECT_TRUE(is_closed(peer));
        ++expected.timed_out;
        EXPECT_EQ(admission_->unlinked(), expected);
    }
}

TEST_F(LinkTime, WhoIsRefusedIsCountedByReason) {
    EXPECT_TRUE(is_closed(connect(link_with_ticket(128))));
    EXPECT_EQ(admission_->unlinked(), (control::UnlinkedStatus{0, 1, 0, 0, 0}));
    EXPECT_TRUE(is_closed(connect(Bytes(16))));
    EXPECT_TRUE(is_closed(connect(as_bytes("GET / HTTP/1.1\r\n\r\n"))));
    EXPECT_EQ(admission_->unlinked(), (control::UnlinkedStatus{0, 1, 0, 2, 0}));
    LinkRules rules;
    rules.authenticate = false;
    admission_->set_rules(rules);
    EXPECT_TRUE(is_closed(connect(link_with_ticket(128))));
    EXPECT_EQ(admission_->unlinked(), (control::UnlinkedStatus{0, 1, 1, 2, 0}));
}

TEST_F(LinkTime, WhoOnlyGoesIsNotCounted) {
    connect(link()).reset();
    run_for({});
    Bytes closed(kUpgrade.begin(), kUpgrade.end());
    closed.insert(closed.end(), {0x88, 0x80, 0, 0, 0, 0});
    EXPECT_TRUE(is_closed(connect(closed)));
    run_for(2 * LinkServer::kLinkTime);
    EXPECT_EQ(admission_->unlinked(), control::UnlinkedStatus{});
}

}  // namespace
}  // namespace segue::spice::server
