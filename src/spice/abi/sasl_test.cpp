// SPDX-License-Identifier: LGPL-2.1-or-later
// A login by SASL, with the security layer that begins behind it.
#include <gtest/gtest.h>
#include <sasl/sasl.h>
#include <sys/socket.h>

#include "net/socket.h"
#include "spice/abi/test_embedder.h"
#include "spice/client/sasl.h"

// Cyrus' plugin of DIGEST-MD5 (2.1.28) fetches a cipher for its layer and never frees it, with
// stock's library just so. The fast unwinder does not find its way back to the plugin.
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
extern "C" const char* __asan_default_options() {
    return "fast_unwind_on_malloc=0";
}
extern "C" const char* __lsan_default_suppressions() {
    return "leak:libdigestmd5.so";
}
#endif
#endif

namespace segue::spice::abi {
namespace {

constexpr const char* kUser = "viewer@segue";
constexpr std::string_view kPassword = "secret";

// Once the library has read its configuration.
void make_user() {
    sasl_conn_t* connection = nullptr;
    ASSERT_EQ(
        ::sasl_server_new("spice", nullptr, nullptr, nullptr, nullptr, nullptr, 0, &connection),
        SASL_OK);
    EXPECT_EQ(::sasl_setpass(connection, kUser, kPassword.data(),
                             static_cast<unsigned>(kPassword.size()), nullptr, 0, SASL_SET_CREATE),
              SASL_OK)
        << ::sasl_errdetail(connection);
    ::sasl_dispose(&connection);
}

// A client's main channel, as far as its login.
class Login {
  public:
    explicit Login(Embedder& embedder) : embedder_(embedder) {
        auto pair = net::make_socket_pair();
        EXPECT_TRUE(pair);
        socket_ = std::move((*pair)[0]);
        const int room = 64 << 10;
        EXPECT_EQ(::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDBUF, &room, sizeof room), 0);
        EXPECT_EQ(spice_server_add_client(embedder.server, (*pair)[1].release(), 0), 0);
        auto made = client::SaslLogin::make({"localhost", kUser, std::string(kPassword), false});
        EXPECT_TRUE(made);
        login_ = std::move(*made);
        act(link_.start());
    }

    bool run() {
        return embedder_.run_until([&] {
            read();
            return is_secured_ || is_closed_;
        }) && is_secured_;
    }
    client::SaslLogin& layer() { return *login_; }
    const net::Descriptor& socket() const { return socket_; }

  private:
    static wire::ClientLink::Request request() {
        wire::ClientLink::Request made;
        made.channel_type = wire::ChannelType::main;
        made.common = wire::Capabilities::of(
            {wire::CommonCapability::auth_selection, wire::CommonCapability::auth_spice,
             wire::CommonCapability::auth_sasl, wire::CommonCapability::mini_header});
        made.prefers_sasl = true;
        return made;
    }

    void read() {
        std::array<std::uint8_t, 4096> buffer;
        while (!is_secured_ && !is_closed_) {
            const ssize_t got = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
            if (got < 0) return;
            if (got == 0) is_closed_ = true;
            act(link_.feed({buffer.data(), static_cast<std::size_t>(got)}));
        }
    }

    void act(const wire::LinkActions& actions) {
        for (const wire::LinkAction& action : actions) {
            if (const auto* send = std::get_if<wire::SendBytes>(&action)) {
                EXPECT_EQ(
                    ::send(socket_.get(), send->bytes.data(), send->bytes.size(), MSG_NOSIGNAL),
                    static_cast<ssize_t>(send->bytes.size()));
            } else if (const auto* offered = std::get_if<wire::SaslMechanismsOffered>(&action)) {
                const auto words = login_->start(offered->mechanisms);
                ASSERT_TRUE(words) << words.error().message;
                act(link_.sasl_start(words->mechanism, words->data));
            } else if (const auto* step = std::get_if<wire::SaslClientStep>(&action)) {
                const auto words = login_->step(step->data);
                ASSERT_TRUE(words) << words.error().message;
                act(step->complete ? link_.sasl_finished() : link_.sasl_step(words->data));
            } else if (std::holds_alternative<wire::SaslSecured>(action)) {
                is_secured_ = true;
            }
        }
    }

    Embedder& embedder_;
    net::Descriptor socket_;
    wire::ClientLink link_{request()};
    std::unique_ptr<client::SaslLogin> login_;
    bool is_secured_ = false;
    bool is_closed_ = false;
};

// How many bytes a server takes of one that goes on for as long as it is listened to.
std::size_t flood(Embedder& embedder, Login& login) {
    // A message of 4 GiB, were it one: the channel ends where it sees it.
    const Bytes garbage(8 << 10, 0xff);
    std::size_t taken = 0;
    Bytes coded;
    std::size_t sent = 0;
    const bool is_ended = embedder.run_until([&] {
        for (;;) {
            if (sent == coded.size()) {
                coded = login.layer().encode(garbage).value();
                sent = 0;
            }
            const ssize_t done = ::send(login.socket().get(), coded.data() + sent,
                                        coded.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (done < 0) return errno != EAGAIN;
            sent += static_cast<std::size_t>(done);
            taken += static_cast<std::size_t>(done);
        }
    });
    EXPECT_TRUE(is_ended);
    return taken;
}

// What a server is told later puts other rules in the place of those that SASL was begun with.
TEST(Sasl, TheApplicationsNameOutlivesTheRulesItCameWith) {
    Embedder embedder;
    demand_sasl(embedder);
    Peer::Options options;
    options.sasl = true;
    for (int login = 0; login < 2; ++login) {
        Peer peer(embedder, options);
        ASSERT_TRUE(embedder.run_until([&] { return !peer.mechanisms().empty(); }));
        EXPECT_EQ(peer.mechanisms(), "DIGEST-MD5");
        ASSERT_EQ(spice_server_set_ticket(embedder.server, "other", 0, 0, 0), 0);
    }
}

// The channel begins a moment behind the login.
TEST(Sasl, WhatComesBeforeTheChannelBeginsStaysInTheSocket) {
    Embedder embedder;
    demand_sasl(embedder);
    Peer::Options options;
    options.sasl = true;
    Peer first(embedder, options);
    ASSERT_TRUE(embedder.run_until([&] { return !first.mechanisms().empty(); }));
    make_user();

    Login login(embedder);
    ASSERT_TRUE(login.run());
    ASSERT_TRUE(login.layer().is_layered());
    // What the socket holds, and what the channel reads before it closes.
    EXPECT_LT(flood(embedder, login), std::size_t{1} << 20);
}

}  // namespace
}  // namespace segue::spice::abi
