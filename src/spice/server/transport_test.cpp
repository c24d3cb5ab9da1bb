// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/transport.h"

#include <gmock/gmock.h>

#include "net/socket.h"
#include "net/test_loop.h"

namespace segue::spice::server {
namespace {

struct TransportTest : ::testing::Test {
    net::TestLoop loop;
    net::Descriptor peer;  // never read
    std::unique_ptr<Transport> transport;
    std::vector<std::string> lost;

    void SetUp() override {
        auto pair = net::make_socket_pair().value();
        peer = std::move(pair[0]);
        transport = std::make_unique<Transport>(std::move(pair[1]));
        Transport::Handlers handlers;
        handlers.on_input = [](ByteView bytes) { return bytes.size(); };
        handlers.on_lost = [this](const std::string& reason) { lost.push_back(reason); };
        transport->attach(*loop, std::move(handlers));
    }
};

TEST_F(TransportTest, ALargeImageWaitsForItsPeer) {
    transport->send(Bytes(std::size_t{128} << 20));
    loop.run_until([] { return false; }, 10ms);
    EXPECT_THAT(lost, ::testing::IsEmpty());
    EXPECT_GT(transport->waiting(), std::size_t{120} << 20);
}

TEST_F(TransportTest, APeerThatReadsNothingIsLostBeforeItCostsMore) {
    const auto image = wire::SharedBytes::take(Bytes(1U << 20));
    for (int count = 0; count < 300; ++count)
        transport->send({image});
    EXPECT_EQ(transport->waiting(), 0U);
    EXPECT_TRUE(loop.run_until([&] { return !lost.empty(); }));
    EXPECT_THAT(lost, ::testing::ElementsAre("the peer does not read what it asks for"));
}

// What small answers cost is not their bytes.
TEST_F(TransportTest, SmallPiecesAreCountedAtTheirCost) {
    const auto pong = wire::SharedBytes::take(Bytes(10));
    const std::size_t most = Transport::kMostWaiting / Transport::kPieceCost;
    for (std::size_t count = 0; count < 2 * most; ++count)
        transport->send({pong});
    EXPECT_TRUE(loop.run_until([&] { return !lost.empty(); }));
}

}  // namespace
}  // namespace segue::spice::server
