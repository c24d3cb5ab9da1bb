// SPDX-License-Identifier: LGPL-2.1-or-later
#include "net/tls.h"

#include <gtest/gtest.h>

#include "net/test_certificates.h"

namespace segue::net {
namespace {

TestAuthority& authority() {
    static TestAuthority made;
    return made;
}

// Two filters that are fed with each other's output, without sockets.
struct Pair {
    std::unique_ptr<ByteFilter> client, server;
    Bytes to_server, to_client, server_got, client_got;
    Result<> client_state, server_state;

    Pair(const TlsFiles& client_files, const TlsFiles& server_files, const std::string& name,
         bool verify_client, bool verify_server = true) {
        const auto of_client = TlsContext::make(TlsSide::client, client_files, verify_server);
        const auto of_server = TlsContext::make(TlsSide::server, server_files, verify_client);
        EXPECT_TRUE(of_client && of_server);
        client = std::move(*(*of_client)->make_filter(name));
        server = std::move(*(*of_server)->make_filter({}));
        client_state = client->start(to_server);
        server_state = server->start(to_client);
    }
    // Until nothing is on the way, `portion` bytes at a time.
    void exchange(std::size_t portion = 100'000) {
        while ((!to_server.empty() && server_state) || (!to_client.empty() && client_state)) {
            step(to_server, *server, server_got, to_client, server_state, portion);
            step(to_client, *client, client_got, to_server, client_state, portion);
        }
    }
    static void step(Bytes& from, ByteFilter& to, Bytes& plain, Bytes& back, Result<>& state,
                     std::size_t portion) {
        if (from.empty() || !state) return;
        const std::size_t size = std::min(portion, from.size());
        const Bytes part(from.begin(), from.begin() + static_cast<std::ptrdiff_t>(size));
        from.erase(from.begin(), from.begin() + static_cast<std::ptrdiff_t>(size));
        state = to.receive(part, plain, back);
    }
};

TEST(Tls, AKeyWithAPassphraseIsAnErrorNotAQuestion) {
    const TlsFiles locked = authority().locked(authority().issue("locked", "DNS:locked"));
    const auto context = TlsContext::make(TlsSide::server, locked, true);
    ASSERT_FALSE(context);
    EXPECT_NE(context.error().message.find("have no passphrase"), std::string::npos);
}

TEST(Tls, CarriesBothWaysHoweverItIsCut) {
    const TlsFiles files = authority().issue("host", "DNS:host.example");
    for (const std::size_t portion : {std::size_t{1}, std::size_t{7}, std::size_t{100'000}}) {
        Pair pair(authority().authority_only(), files, "host.example", false);
        // Sent before the handshake: kept, and passed on.
        EXPECT_TRUE(pair.client->send(as_bytes("early"), pair.to_server));
        pair.exchange(portion);
        EXPECT_TRUE(pair.client->is_open() && pair.server->is_open());
        EXPECT_EQ(as_text(pair.server_got), "early");
        EXPECT_TRUE(pair.server->send(Bytes(5'000, 9), pair.to_client));
        pair.exchange(portion);
        EXPECT_EQ(pair.client_got, Bytes(5'000, 9));
        pair.client->close(pair.to_server);
        pair.exchange(portion);
        EXPECT_TRUE(pair.server->closed_by_peer());
    }
}

TEST(Tls, TheServersNameAndAuthorityCount) {
    const TlsFiles files = authority().issue("named", "DNS:named.example,IP:127.0.0.1");
    for (const auto& [name, fits] : {std::pair{"named.example", true},
                                     {"127.0.0.1", true},
                                     {"other.example", false},
                                     {"127.0.0.2", false}}) {
        Pair pair(authority().authority_only(), files, name, false);
        pair.exchange();
        EXPECT_EQ(pair.client->is_open(), fits) << name;
        EXPECT_EQ(pair.client_state.has_value(), fits) << name;
        Pair careless(authority().authority_only(), files, name, false, false);
        careless.exchange();
        EXPECT_TRUE(careless.client->is_open());
    }
    TestAuthority foreign;
    Pair pair(foreign.authority_only(), files, "named.example", false);
    pair.exchange();
    EXPECT_FALSE(pair.client->is_open());
}

TEST(Tls, AServerMayDemandACertificate) {
    const TlsFiles server_files = authority().issue("demanding", "DNS:d.example");
    const TlsFiles client_files = authority().issue("client", "DNS:c.example");
    Pair with(client_files, server_files, "d.example", true);
    with.exchange();
    EXPECT_TRUE(with.server->is_open());
    EXPECT_EQ(tls_peer_subject(*with.server), "CN=client");

    Pair without(authority().authority_only(), server_files, "d.example", true);
    without.exchange();
    EXPECT_FALSE(without.server->is_open());
    EXPECT_FALSE(without.server_state);

    TestAuthority foreign;
    TlsFiles strange = foreign.issue("client", "DNS:c.example");
    strange.authority = client_files.authority;
    Pair refused(strange, server_files, "d.example", true);
    refused.exchange();
    EXPECT_FALSE(refused.server->is_open());
    EXPECT_EQ(refused.server_state.error().code, ErrorCode::auth_failed);
    EXPECT_TRUE(tls_peer_subject(*refused.server).empty());
}

TEST(Tls, WhatIsNotTlsIsAnError) {
    Pair pair(authority().authority_only(), authority().issue("host", "DNS:host"), "host", false);
    Bytes plain, back;
    const auto refused = pair.server->receive(as_bytes("GET / HTTP/1.1\r\n\r\n"), plain, back);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::protocol);
    EXPECT_TRUE(plain.empty());
}

TEST(Tls, NamesTheFileThatIsWrong) {
    TlsFiles files = authority().issue("host", "DNS:host");
    files.key = "/nonexistent/key.pem";
    const auto context = TlsContext::make(TlsSide::server, files, false);
    ASSERT_FALSE(context);
    EXPECT_NE(context.error().message.find("/nonexistent/key.pem"), std::string::npos);
    files = authority().issue("host", "DNS:host");
    files.key = authority().issue("other", "DNS:host").key;
    EXPECT_FALSE(TlsContext::make(TlsSide::server, files, false));
}

}  // namespace
}  // namespace segue::net
