// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rpc/stream.h"

#include <gtest/gtest.h>

#include "net/test_loop.h"
#include "rpc/client.h"
#include "rpc/migration.schema.h"
#include "rpc/server.h"

namespace segue::rpc {
namespace {

// One side of a stream, and what happened to it.
struct End {
    std::shared_ptr<Stream> stream;
    Bytes data;
    bool ended = false;
    int writable = 0;
    std::optional<Error> aborted;

    Stream::Handlers handlers() {
        Stream::Handlers made;
        made.on_data = [this](ByteView bytes) {
            data.insert(data.end(), bytes.begin(), bytes.end());
        };
        made.on_end = [this] { ended = true; };
        made.on_abort = [this](const Error& reason) { aborted = reason; };
        made.on_writable = [this] { ++writable; };
        return made;
    }
};

struct StreamTest : ::testing::Test {
    net::TestLoop loop;
    Dispatcher calls;
    net::Resolver resolver{*loop};
    End daemon, user;
    bool refuse = false;
    std::unique_ptr<Server> server;
    std::unique_ptr<Client> client;
    std::optional<Result<>> answered;

    void SetUp() override {
        calls.on<remote::DomainOpenConsole>([this](Session&, remote::OpenConsoleCall, auto reply) {
            daemon.stream = reply.open_stream(daemon.handlers());
            daemon.stream->send(as_bytes("welcome"));
            if (refuse) return reply(fail(ErrorCode::operation_invalid, "it does not run"));
            reply({});
        });
        calls.on<remote::DomainScreenshot>([this](Session&, remote::ScreenshotCall, auto reply) {
            daemon.stream = reply.open_stream(daemon.handlers());
            reply(remote::OptionalTextReply{"image/png"});
            daemon.stream->send(Bytes(1'000'000, 7));
            daemon.stream->end();
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
    }
    void open_console() {
        user.stream = client->call_with_stream<remote::DomainOpenConsole>(
            {}, user.handlers(), [this](Result<> reply) { answered = reply; });
        ASSERT_TRUE(loop.run_until([&] { return answered.has_value(); }));
    }
};

TEST_F(StreamTest, CarriesBothWaysAndTheUserEnds) {
    open_console();
    user.stream->send(as_bytes("typed"));
    EXPECT_TRUE(loop.run_until([&] { return as_text(daemon.data) == "typed"; }));
    EXPECT_TRUE(loop.run_until([&] { return as_text(user.data) == "welcome"; }));
    user.stream->end();
    EXPECT_TRUE(loop.run_until([&] { return user.ended && daemon.ended; }));
    EXPECT_TRUE(user.stream->is_over() && daemon.stream->is_over());
    daemon.stream->send(as_bytes("too late"));
    EXPECT_FALSE(user.aborted || daemon.aborted);
}

TEST_F(StreamTest, TheDaemonEndsAfterItsLastData) {
    bool replied = false;
    user.stream = client->call_with_stream<remote::DomainScreenshot>(
        {}, user.handlers(), [&](Result<remote::OptionalTextReply> reply) {
            replied = true;
            EXPECT_EQ(reply->text, "image/png");
        });
    EXPECT_TRUE(loop.run_until([&] { return user.ended && daemon.ended; }));
    EXPECT_TRUE(replied);
    EXPECT_EQ(user.data, Bytes(1'000'000, 7));
}

TEST_F(StreamTest, EitherSideMayAbort) {
    open_console();
    daemon.stream->abort({ErrorCode::operation_failed, "the console is gone"});
    EXPECT_TRUE(loop.run_until([&] { return user.aborted.has_value(); }));
    EXPECT_EQ(user.aborted->code, ErrorCode::operation_failed);
    EXPECT_EQ(user.aborted->message, "operation failed: the console is gone");
    answered.reset();
    user.aborted.reset();
    open_console();
    user.stream->abort({ErrorCode::cancelled, "enough"});
    EXPECT_TRUE(loop.run_until([&] { return daemon.aborted.has_value(); }));
    EXPECT_EQ(daemon.aborted->code, ErrorCode::cancelled);
    EXPECT_FALSE(user.aborted);
}

TEST_F(StreamTest, ARefusedCallHasNoStream) {
    refuse = true;
    open_console();
    EXPECT_FALSE(*answered);
    EXPECT_EQ(answered->error().code, ErrorCode::operation_invalid);
    EXPECT_TRUE(daemon.stream->is_over());
    EXPECT_TRUE(user.data.empty());
}

TEST_F(StreamTest, AVanishedPeerAborts) {
    open_console();
    client.reset();
    EXPECT_TRUE(loop.run_until([&] { return daemon.aborted.has_value(); }));
    EXPECT_EQ(daemon.aborted->code, ErrorCode::connection_lost);
    EXPECT_TRUE(daemon.stream->is_over());
}

TEST_F(StreamTest, AConsumerThatStopsReadingHoldsTheProducer) {
    open_console();
    daemon.stream->set_reading(false);
    std::size_t sent = 0;
    const Bytes part(200'000, 3);
    while (user.stream->is_writable()) {
        user.stream->send(part);
        sent += part.size();
        loop.run_for(1ms);
    }
    EXPECT_LT(sent, 8u << 20);
    EXPECT_TRUE(daemon.data.empty());
    daemon.stream->set_reading(true);
    EXPECT_TRUE(loop.run_until([&] { return daemon.data.size() == sent; }));
    EXPECT_TRUE(loop.run_until([&] { return user.writable > 0; }));
}

}  // namespace
}  // namespace segue::rpc
