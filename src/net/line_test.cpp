// SPDX-License-Identifier: LGPL-2.1-or-later
#include "net/line.h"

#include <gtest/gtest.h>

#include "net/line_proxy.h"
#include "net/test_loop.h"

namespace segue::net {
namespace {

Instant at(Duration since_start) {
    return Instant{since_start};
}

TEST(LineFilter, PassesAtOnceByDefault) {
    LineFilter line;
    line.push(at(1s), as_bytes("hello"));
    EXPECT_EQ(line.next_due(), at(1s));
    EXPECT_EQ(as_text(line.pop(at(1s))), "hello");
    EXPECT_EQ(line.waiting(), 0u);
    EXPECT_FALSE(line.next_due());
}

TEST(LineFilter, DelaysAndKeepsOrder) {
    LineFilter line({.delay = 20ms});
    line.push(at(0s), as_bytes("a"));
    line.push(at(5ms), as_bytes("b"));
    EXPECT_TRUE(line.pop(at(19ms)).empty());
    EXPECT_EQ(as_text(line.pop(at(20ms))), "a");
    EXPECT_EQ(line.next_due(), at(25ms));
    EXPECT_EQ(as_text(line.pop(at(1s))), "b");
}

TEST(LineFilter, KeepsTheRate) {
    LineFilter line({.bytes_per_second = 1'000'000});
    line.push(at(0s), Bytes(500'000));
    EXPECT_NEAR(static_cast<double>(line.pop(at(100ms)).size()), 100'000, 5'000);
    EXPECT_NEAR(static_cast<double>(line.pop(at(499ms)).size()), 399'000, 5'000);
    EXPECT_EQ(line.waiting(), 500'000 - line.passed());
    line.pop(at(501ms));
    EXPECT_EQ(line.passed(), 500'000u);
}

TEST(LineFilter, DropHoldsUntilMended) {
    LineFilter line({.drop = true});
    line.push(at(0s), as_bytes("kept"));
    EXPECT_FALSE(line.next_due());
    EXPECT_TRUE(line.pop(at(10s)).empty());
    line.set_quality({});
    EXPECT_EQ(as_text(line.pop(at(10s))), "kept");
}

TEST(LineFilter, CutsAfterExactlySoManyBytes) {
    LineFilter line({.cut_after = 7});
    line.push(at(0s), as_bytes("12345"));
    line.push(at(0s), as_bytes("67890"));
    EXPECT_EQ(as_text(line.pop(at(0s))), "1234567");
    EXPECT_TRUE(line.is_cut());
    EXPECT_FALSE(line.next_due());
    EXPECT_TRUE(line.pop(at(1s)).empty());
}

// A client, the proxy and an echo server on one loop.
struct LineProxyTest : ::testing::Test {
    TestLoop loop;
    std::unique_ptr<Listener> echo;
    std::vector<std::unique_ptr<Connection>> echoes;
    std::unique_ptr<LineProxy> proxy;
    Resolver resolver{*loop};
    std::unique_ptr<Connector> connector;
    std::unique_ptr<Connection> client;
    Bytes input;
    bool closed = false;

    void SetUp() override {
        echo = *Listener::make(
            *loop, Address::of_tcp("127.0.0.1", 0), {},
            [this](Descriptor descriptor, const SocketAddress&) { serve(std::move(descriptor)); });
        proxy = *LineProxy::make(*loop, Address::of_tcp("127.0.0.1", 0),
                                 Address::of_tcp("127.0.0.1", echo->local().port()));
        connector = std::make_unique<Connector>(
            *loop, resolver, Address::of_tcp("127.0.0.1", proxy->local().port()), 2s,
            [this](Result<Descriptor> connected) { use(std::move(*connected)); });
        ASSERT_TRUE(loop.run_until([this] { return client != nullptr; }));
    }
    void serve(Descriptor descriptor) {
        const std::size_t index = echoes.size();
        Connection::Handlers handlers;
        handlers.on_input = [this, index](ByteView bytes) { echoes[index]->send_copy(bytes); };
        handlers.on_closed = [](const Error&) {};
        handlers.on_end_of_input = [this, index] { echoes[index]->end_output(); };
        echoes.push_back(std::make_unique<Connection>(*loop, std::move(descriptor), handlers));
        echoes.back()->start();
    }
    void use(Descriptor descriptor) {
        Connection::Handlers handlers;
        handlers.on_input = [this](ByteView bytes) {
            input.insert(input.end(), bytes.begin(), bytes.end());
        };
        handlers.on_closed = [this](const Error&) { closed = true; };
        client = std::make_unique<Connection>(*loop, std::move(descriptor), handlers);
        client->start();
    }
};

TEST_F(LineProxyTest, CarriesBothWaysAndTheEnd) {
    client->send(Bytes(3'000'000, 5));
    client->end_output();
    EXPECT_TRUE(loop.run_until([&] { return closed; }));
    EXPECT_EQ(input.size(), 3'000'000u);
    EXPECT_EQ(proxy->bytes_passed(), 6'000'000u);
    EXPECT_TRUE(loop.run_until([&] { return proxy->connections() == 0; }));
}

TEST_F(LineProxyTest, DelaysBothWays) {
    proxy->set_quality({.delay = 30ms});
    const Instant begin = (*loop).now();
    client->send(Bytes(10, 1));
    EXPECT_TRUE(loop.run_until([&] { return input.size() == 10; }));
    EXPECT_GE((*loop).now() - begin, 60ms);
}

TEST_F(LineProxyTest, DropIsSilentAndMends) {
    proxy->set_quality({.drop = true});
    client->send(Bytes(10, 1));
    loop.run_for(30ms);
    EXPECT_TRUE(input.empty());
    EXPECT_FALSE(closed);
    proxy->set_quality({});
    EXPECT_TRUE(loop.run_until([&] { return input.size() == 10; }));
}

TEST_F(LineProxyTest, CutIsSeenByBothEnds) {
    client->send(Bytes(10, 1));
    EXPECT_TRUE(loop.run_until([&] { return input.size() == 10; }));
    proxy->cut();
    EXPECT_TRUE(loop.run_until([&] { return closed && proxy->connections() == 0; }));
}

}  // namespace
}  // namespace segue::net
