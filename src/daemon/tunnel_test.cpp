// SPDX-License-Identifier: LGPL-2.1-or-later
// Both ends of a tunnel with the real RPC between them; the test plays the two QEMUs.
#include "daemon/tunnel.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>

#include "net/test_loop.h"
#include "rpc/client.h"
#include "rpc/migration.schema.h"
#include "rpc/server.h"

namespace segue {
namespace {

namespace migration = rpc::migration;

constexpr Duration kPatience = 60s;  // a loaded machine must not decide

struct TunnelTest : ::testing::Test {
    net::TestLoop loop;
    rpc::Dispatcher calls;
    net::Resolver resolver{*loop};
    std::unique_ptr<rpc::Server> server;
    std::unique_ptr<rpc::Client> client;
    std::shared_ptr<TunnelIn> in = std::make_shared<TunnelIn>(*loop);
    std::unique_ptr<TunnelOut> out;
    std::optional<Result<>> over;
    // What the QEMUs hold: the source's writes, the destination's reads.
    net::Descriptor source, destination;
    Bytes arrived;
    bool at_end = false;

    void SetUp() override {
        std::signal(SIGPIPE, SIG_IGN);  // as the daemon does
        destination = in->open().value();
        ::fcntl(destination.get(), F_SETFL, O_NONBLOCK);
        calls.on<migration::DomainMigratePrepareTunnel3>(
            [this](rpc::Session&, const migration::PrepareTunnel3Call&, auto reply) {
                in->attach(reply.open_stream(in->handlers()));
                reply(rpc::remote::CookieReply{});
            });
        server = std::make_unique<rpc::Server>(*loop, calls, rpc::ServerOptions{});
        auto pair = net::make_socket_pair().value();
        server->adopt(std::make_unique<rpc::NetLink>(*loop, std::move(pair[1])));
        client = std::make_unique<rpc::Client>(
            *loop, resolver, std::make_unique<rpc::NetLink>(*loop, std::move(pair[0])),
            "qemu:///system", rpc::ClientOptions{});
        bool ready = false;
        client->open([&](Result<> opened) { ready = opened.has_value(); });
        ASSERT_TRUE(loop.run_until([&] { return ready; }, kPatience));
        ready = false;
        const auto stream = client->call_with_stream<migration::DomainMigratePrepareTunnel3>(
            {}, {}, [&](Result<rpc::remote::CookieReply> reply) { ready = reply.has_value(); });
        ASSERT_TRUE(loop.run_until([&] { return ready; }, kPatience));
        out = std::make_unique<TunnelOut>(*loop, stream,
                                          [this](Result<> outcome) { over = std::move(outcome); });
        source = out->open().value();
        ::fcntl(source.get(), F_SETFL, O_NONBLOCK);
    }

    // As much as the pipe takes now.
    void push(const Bytes& bytes, std::size_t& sent) {
        const ssize_t size = ::write(source.get(), bytes.data() + sent, bytes.size() - sent);
        if (size > 0) sent += static_cast<std::size_t>(size);
    }
    void pull() {
        std::uint8_t buffer[65536];
        for (;;) {
            const ssize_t size = ::read(destination.get(), buffer, sizeof buffer);
            at_end = size == 0;
            if (size <= 0) return;
            arrived.insert(arrived.end(), buffer, buffer + size);
        }
    }
};

TEST_F(TunnelTest, CarriesEverythingAndThenTheEnd) {
    Bytes sent(9'000'001);
    for (std::size_t at = 0; at < sent.size(); ++at)
        sent[at] = static_cast<std::uint8_t>(at * 31 + (at >> 12));
    std::size_t done = 0;
    ASSERT_TRUE(loop.run_until(
        [&] {
            if (source) push(sent, done);
            if (done == sent.size()) source.reset();
            pull();
            return at_end;
        },
        kPatience));
    EXPECT_TRUE(arrived == sent);
    ASSERT_TRUE(loop.run_until([&] { return over.has_value(); }, kPatience));
    EXPECT_TRUE(*over);
}

TEST_F(TunnelTest, ADestinationThatReadsNothingHoldsTheSourceBack) {
    const Bytes sent(64U << 20, 7);
    std::size_t done = 0;
    // Until nothing moves any more: what is on its way is bounded, and far below all of it.
    int idle = 0;
    ASSERT_TRUE(loop.run_until(
        [&] {
            const std::size_t before = done;
            push(sent, done);
            idle = done == before ? idle + 1 : 0;
            return idle > 200;
        },
        kPatience));
    EXPECT_LT(done, 32U << 20);
    // Once it reads again, everything goes on.
    ASSERT_TRUE(loop.run_until(
        [&] {
            if (source) push(sent, done);
            if (done == sent.size()) source.reset();
            pull();
            return at_end;
        },
        kPatience));
    EXPECT_EQ(arrived.size(), sent.size());
}

TEST_F(TunnelTest, ADeadDestinationIsToldToTheSource) {
    destination.reset();
    std::size_t done = 0;
    push(Bytes(1000, 1), done);
    ASSERT_TRUE(loop.run_until([&] { return over.has_value(); }, kPatience));
    ASSERT_FALSE(*over);
    EXPECT_NE(over->error().message.find("no longer reads"), std::string::npos);
}

TEST_F(TunnelTest, AMigrationThatIsGivenUpEndsTheOtherQemusInput) {
    std::size_t done = 0;
    push(Bytes(1000, 1), done);
    out.reset();
    ASSERT_TRUE(loop.run_until(
        [&] {
            pull();
            return at_end;
        },
        kPatience));
    EXPECT_LE(arrived.size(), 1000U);
}

TEST_F(TunnelTest, ALostConnectionIsTold) {
    server.reset();
    ASSERT_TRUE(loop.run_until([&] { return over.has_value(); }, kPatience));
    EXPECT_FALSE(*over);
}

}  // namespace
}  // namespace segue
