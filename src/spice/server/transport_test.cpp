// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/transport.h"

#include <gmock/gmock.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <new>

#include "net/socket.h"
#include "net/test_loop.h"
#include "spice/server/short_memory.h"

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
    // What the peer reads, a little at a time, until it has so much.
    Bytes read(std::size_t size) {
        Bytes got;
        EXPECT_TRUE(loop.run_until([&] {
            std::uint8_t some[4321];
            const ssize_t more = ::recv(peer.get(), some, sizeof some, MSG_DONTWAIT);
            if (more > 0) got.insert(got.end(), some, some + more);
            return got.size() >= size;
        }));
        return got;
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

std::size_t readable(const net::Descriptor& peer) {
    int bytes = 0;
    EXPECT_EQ(::ioctl(peer.get(), FIONREAD, &bytes), 0);
    return static_cast<std::size_t>(bytes);
}

TEST_F(TransportTest, WhatIsGatheredGoesWhenTheLastGatheringEnds) {
    auto outer = std::make_unique<Transport::Gathering>(*transport);
    {
        const Transport::Gathering inner(*transport);
        transport->send(Bytes(10));
    }
    transport->send(Bytes(20));
    EXPECT_EQ(readable(peer), 0U);
    EXPECT_EQ(transport->waiting(), 30U);
    outer.reset();
    EXPECT_EQ(readable(peer), 30U);
    EXPECT_EQ(transport->waiting(), 0U);
    transport->send(Bytes(5));
    EXPECT_EQ(readable(peer), 35U);
}

TEST_F(TransportTest, MuchIsNotGathered) {
    const Transport::Gathering gathering(*transport);
    transport->send(Bytes(Transport::kMostGathered));
    EXPECT_GT(readable(peer), 0U);
}

TEST_F(TransportTest, AGatheringOutlivesItsTransport) {
    const Transport::Gathering gathering(*transport);
    transport->send(Bytes(10));
    transport.reset();
}

// The next owner writes what waits.
TEST_F(TransportTest, WhatIsGatheredMovesToTheNextOwner) {
    auto gathering = std::make_unique<Transport::Gathering>(*transport);
    transport->send(Bytes(10));
    transport->detach();
    gathering.reset();
    EXPECT_EQ(readable(peer), 0U);
    transport->attach(*loop, {});
    EXPECT_TRUE(loop.run_until([&] { return readable(peer) == 10; }));
}

// What small answers cost is their bytes: they are kept together.
TEST_F(TransportTest, SmallPiecesWaitUpToTheBound) {
    constexpr std::size_t kMost = 1u << 20;
    transport->set_most_waiting(kMost);
    const auto pong = wire::SharedBytes::take(Bytes(10));
    for (std::size_t sent = 0; sent < kMost / 2; sent += pong.size())
        transport->send({pong});
    loop.run_for(1ms);
    EXPECT_TRUE(lost.empty());
    for (std::size_t sent = 0; sent < kMost; sent += pong.size())
        transport->send({pong});
    EXPECT_TRUE(loop.run_until([&] { return !lost.empty(); }));
}

// Of all sizes around those that are kept together, while the peer reads a little at a time.
TEST_F(TransportTest, EveryByteArrivesInItsPlace) {
    constexpr std::size_t kSizes[] = {1, 40, 1023, 1024, 1025, 7, 5000, 300, 20000, 2};
    Bytes expected;
    for (int round = 0; round < 200; ++round) {
        auto gathering = std::make_unique<Transport::Gathering>(*transport);
        for (const std::size_t size : kSizes) {
            Bytes piece(size);
            for (std::size_t at = 0; at < size; ++at)
                piece[at] = static_cast<std::uint8_t>((expected.size() + at) * 31 / 7);
            expected.insert(expected.end(), piece.begin(), piece.end());
            transport->send(std::move(piece));
        }
    }
    ASSERT_GT(transport->waiting(), 0U);
    EXPECT_TRUE(read(expected.size()) == expected);
}

// All but what the socket took at once is copied; what it took may be part of it.
TEST_F(TransportTest, WhatIsBorrowedIsItsLendersAgainAtOnce) {
    Bytes expected;
    Bytes picture(std::size_t{4} << 20);
    for (int round = 0; round < 3; ++round) {
        for (std::size_t at = 0; at < picture.size(); ++at)
            picture[at] = static_cast<std::uint8_t>(at * 31 / 7 + static_cast<unsigned>(round));
        const Bytes head(40, static_cast<std::uint8_t>(round));
        expected.insert(expected.end(), head.begin(), head.end());
        expected.insert(expected.end(), picture.begin(), picture.end());
        const Transport::Gathering gathering(*transport);
        transport->send({wire::SharedBytes::copy(head), wire::SharedBytes::borrow(picture)});
        // The first is not gathered: that would be another copy.
        if (round == 0) {
            EXPECT_LT(transport->waiting(), picture.size());
        }
        std::fill(picture.begin(), picture.end(), std::uint8_t{0xee});
    }
    EXPECT_TRUE(read(expected.size()) == expected);
}

// Between two owners, too: the next one is told.
TEST_F(TransportTest, WhatIsBorrowedFindsNoMemoryWhereNobodyIsTold) {
    transport->detach();
    Bytes picture(std::size_t{1} << 20);
    std::vector<wire::SharedBytes> pieces = {wire::SharedBytes::borrow(picture)};
    {
        // There is room in the queue, and none for a copy.
        const ShortMemory is_short(0, true);
        transport->send(std::move(pieces));
    }
    EXPECT_EQ(transport->waiting(), 0U);
    EXPECT_EQ(transport->loss(), ErrorCode::limit_exceeded);
    Transport::Handlers handlers;
    handlers.on_lost = [this](const std::string& reason) { lost.push_back(reason); };
    transport->attach(*loop, std::move(handlers));
    EXPECT_TRUE(loop.run_until([&] { return !lost.empty(); }));
}

// Whichever allocation fails: what arrives is what was lent, and whoever is lost is told so.
TEST_F(TransportTest, NothingBorrowedStaysWhereMemoryIsShort) {
    const Bytes expected(std::size_t{1} << 20, 0x11);
    int lost_at_all = 0;
    for (int turn = 0; turn < 24; ++turn) {
        const int allocations = turn / 2;
        SetUp();
        Bytes picture = expected;
        std::vector<wire::SharedBytes> pieces = {wire::SharedBytes::copy(Bytes(2000, 0x11)),
                                                 wire::SharedBytes::borrow(picture)};
        try {
            const ShortMemory is_short(allocations, turn % 2 == 0);
            transport->send(std::move(pieces));
        } catch (const std::bad_alloc&) {
        }
        std::fill(picture.begin(), picture.end(), std::uint8_t{0xee});
        const bool is_lost = transport->loss() != ErrorCode{};
        transport->send(Bytes(3000, 0x11));
        std::size_t got = 0;
        EXPECT_TRUE(loop.run_until([&] {
            std::uint8_t some[65536];
            const ssize_t size = ::recv(peer.get(), some, sizeof some, MSG_DONTWAIT);
            for (ssize_t at = 0; at < size; ++at)
                EXPECT_EQ(some[at], 0x11) << got + static_cast<std::size_t>(at);
            got += static_cast<std::size_t>(std::max<ssize_t>(size, 0));
            return is_lost ? !lost.empty() : transport->waiting() == 0 && size <= 0;
        })) << allocations;
        lost_at_all += is_lost ? 1 : 0;
        lost.clear();
    }
    EXPECT_GT(lost_at_all, 0);
}

TEST_F(TransportTest, AChannelWithoutImagesMayHaveLessThatWaits) {
    constexpr std::size_t kMost = 1u << 20;
    transport->set_most_waiting(kMost);
    transport->send({wire::SharedBytes::take(Bytes(kMost / 2))});
    EXPECT_LE(transport->waiting(), kMost);
    for (int count = 0; count < 20 && lost.empty(); ++count) {
        transport->send({wire::SharedBytes::take(Bytes(kMost / 2))});
        loop.run_for(1ms);
    }
    EXPECT_FALSE(lost.empty());
}

}  // namespace
}  // namespace segue::spice::server
