// SPDX-License-Identifier: LGPL-2.1-or-later
// A tunnelled migration without QEMU: bytes go from a socket on one host through a stream to a
// socket on the other.
#include "rpc/stream_pipe.h"

#include <gtest/gtest.h>

#include "net/test_loop.h"
#include "rpc/client.h"
#include "rpc/migration.schema.h"
#include "rpc/server.h"

namespace segue::rpc {
namespace {

using Tunnel = migration::DomainMigratePrepareTunnel3Params;

struct StreamPipeTest : ::testing::Test {
    net::TestLoop loop;
    Dispatcher calls;
    net::Resolver resolver{*loop};
    std::unique_ptr<Server> server;
    std::unique_ptr<Client> client;
    std::shared_ptr<StreamPipe> there, here;
    std::optional<Result<>> there_done, here_done;
    // What stands for the two QEMUs.
    std::unique_ptr<net::Connection> source_qemu, target_qemu;
    Bytes arrived;
    bool target_ended = false;

    std::unique_ptr<net::Connection> qemu(net::Descriptor socket) {
        net::Connection::Handlers handlers;
        handlers.on_input = [this](ByteView bytes) {
            arrived.insert(arrived.end(), bytes.begin(), bytes.end());
        };
        handlers.on_closed = [this](const Error&) { target_ended = true; };
        auto made = std::make_unique<net::Connection>(*loop, std::move(socket), handlers);
        made->start();
        return made;
    }
    void SetUp() override {
        calls.on<Tunnel>([this](Session&, const migration::Prepare3ParamsCall&, auto reply) {
            auto pair = net::make_socket_pair().value();
            target_qemu = qemu(std::move(pair[0]));
            there = StreamPipe::make(*loop, std::move(pair[1]),
                                     [this](Result<> outcome) { there_done = outcome; });
            there->attach(reply.open_stream(there->handlers()));
            reply(remote::CookieReply{{1, 2, 3}});
        });
        server = std::make_unique<Server>(*loop, calls, ServerOptions{});
        auto pair = net::make_socket_pair().value();
        server->adopt(std::make_unique<NetLink>(*loop, std::move(pair[1])));
        client = std::make_unique<Client>(*loop, resolver,
                                          std::make_unique<NetLink>(*loop, std::move(pair[0])),
                                          "qemu:///system", ClientOptions{});
        bool opened = false;
        client->open([&](Result<> outcome) { opened = outcome.has_value(); });
        ASSERT_TRUE(loop.run_until([&] { return opened; }));
        open_tunnel();
    }
    void open_tunnel() {
        auto pair = net::make_socket_pair().value();
        source_qemu = qemu(std::move(pair[0]));
        here = StreamPipe::make(*loop, std::move(pair[1]),
                                [this](Result<> outcome) { here_done = outcome; });
        bool prepared = false;
        here->attach(client->call_with_stream<Tunnel>(
            {}, here->handlers(),
            [&](Result<remote::CookieReply> reply) { prepared = reply.has_value(); }));
        ASSERT_TRUE(loop.run_until([&] { return prepared; }));
    }
};

TEST_F(StreamPipeTest, CarriesAMigrationToItsEnd) {
    Bytes state(20'000'000);
    for (std::size_t index = 0; index < state.size(); ++index)
        state[index] = static_cast<std::uint8_t>(index * 31 + index / 4099);
    source_qemu->send(state);
    source_qemu->end_output();
    ASSERT_TRUE(loop.run_until([&] { return here_done && there_done; }, 20s));
    EXPECT_TRUE(*here_done && *there_done);
    EXPECT_TRUE(loop.run_until([&] { return target_ended; }));
    EXPECT_TRUE(arrived == state);
    EXPECT_EQ(here->bytes_to_stream(), state.size());
    EXPECT_EQ(there->bytes_from_stream(), state.size());
}

TEST_F(StreamPipeTest, ASlowTargetHoldsTheSource) {
    target_qemu->set_reading(false);
    source_qemu->send(Bytes(30'000'000, 4));
    loop.run_for(200ms);
    EXPECT_LT(here->bytes_to_stream(), 20'000'000u);
    EXPECT_GT(source_qemu->output_waiting(), 5'000'000u);
    target_qemu->set_reading(true);
    EXPECT_TRUE(loop.run_until([&] { return arrived.size() == 30'000'000u; }, 20s));
}

TEST_F(StreamPipeTest, ATargetThatDiesAbortsTheSource) {
    target_qemu.reset();
    source_qemu->send(Bytes(1'000'000, 4));
    ASSERT_TRUE(loop.run_until([&] { return here_done && there_done; }));
    EXPECT_FALSE(*here_done);
    EXPECT_FALSE(*there_done);
}

TEST_F(StreamPipeTest, ALostConnectionEndsBothSides) {
    client.reset();
    ASSERT_TRUE(loop.run_until([&] { return here_done && there_done; }));
    EXPECT_EQ(here_done->error().code, ErrorCode::connection_lost);
    EXPECT_EQ(there_done->error().code, ErrorCode::connection_lost);
}

}  // namespace
}  // namespace segue::rpc
