// SPDX-License-Identifier: LGPL-2.1-or-later
// Client and server over real TLS on loopback: certificates on both sides, and the byte of welcome.
#include <gtest/gtest.h>

#include "net/test_certificates.h"
#include "net/test_loop.h"
#include "rpc/client.h"
#include "rpc/server.h"

namespace segue::rpc {
namespace {

struct TlsLinkTest : ::testing::Test {
    net::TestLoop loop;
    net::TestAuthority authority;
    net::TlsFiles server_files = authority.issue("server", "IP:127.0.0.1");
    Dispatcher calls;
    net::Resolver resolver{*loop};
    std::unique_ptr<Server> server;
    std::string seen_subject;

    void SetUp() override {
        calls.answer<remote::ConnectGetHostname>(
            [this](Session& session, const Nothing&) -> Result<remote::TextReply> {
                seen_subject = session.peer().tls_subject;
                return remote::TextReply{"host"};
            });
        server = std::make_unique<Server>(*loop, calls, ServerOptions{});
        auto context = net::TlsContext::make(net::TlsSide::server, server_files, true);
        ASSERT_TRUE(context);
        ASSERT_TRUE(server->listen({*net::Address::parse("tls:127.0.0.1:0"), {}, false, *context}));
    }
    Result<std::string> ask(const net::TlsFiles& files) {
        ClientOptions options;
        options.tls = files;
        options.connect_timeout = 3s;
        const auto uri = ConnectionUri::parse(
            fmt::format("qemu+tls://127.0.0.1:{}/system", server->addresses().at(0).port()), "");
        Client client(*loop, resolver, *uri, options);
        std::optional<Result<>> opened;
        client.open([&](Result<> outcome) { opened = outcome; });
        loop.run_until([&] { return opened.has_value(); });
        if (!opened || !*opened) return tl::make_unexpected(opened->error());
        std::optional<Result<remote::TextReply>> reply;
        client.call<remote::ConnectGetHostname>({}, [&](auto outcome) { reply = outcome; });
        loop.run_until([&] { return reply.has_value(); });
        if (!*reply) return tl::make_unexpected(reply->error());
        return (*reply)->text;
    }
};

TEST_F(TlsLinkTest, ServesAClientWithACertificate) {
    EXPECT_EQ(ask(authority.issue("manager", "DNS:manager")).value_or("refused"), "host");
    EXPECT_EQ(seen_subject, "CN=manager");
}

TEST_F(TlsLinkTest, RefusesAClientWithout) {
    const auto refused = ask(authority.authority_only());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::auth_failed);
    EXPECT_NE(refused.error().message.find("alert"), std::string::npos) << refused.error().message;
    EXPECT_TRUE(loop.run_until([&] { return server->connections() == 0; }));
}

TEST_F(TlsLinkTest, RefusesAServerOfAnotherAuthority) {
    net::TestAuthority foreign;
    const auto refused = ask(foreign.issue("manager", "DNS:manager"));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::auth_failed);
}

}  // namespace
}  // namespace segue::rpc
