// SPDX-License-Identifier: LGPL-2.1-or-later
// The NBD server's side of a connection.
#include "protect/nbd.h"

#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "base/bytes.h"

namespace segue {
namespace {

using ::testing::HasSubstr;

struct Nbd {
    explicit Nbd(nbd::Server::Export exported) : server(exported) {}
    Result<> feed(ByteView bytes) {
        return server.feed(bytes, out, [this](const nbd::Request& request) {
            requests.push_back(request);
            data.emplace_back(request.data.begin(), request.data.end());
        });
    }
    void negotiate(bool with_flags = true) {
        BigWriter in;
        if (with_flags) in.u32(3);
        in.u64(0x49484156454f5054);
        in.u32(7);  // GO
        in.u32(6);
        in.u32(0);
        in.u16(0);
        EXPECT_TRUE(feed(in.view()).has_value());
        EXPECT_TRUE(server.is_transmitting());
        out.clear();
    }
    static Bytes request(std::uint16_t flags, std::uint16_t command, std::uint64_t offset,
                         std::uint32_t length, ByteView payload = {}) {
        BigWriter in;
        in.u32(0x25609513);
        in.u16(flags);
        in.u16(command);
        in.u64(77);
        in.u64(offset);
        in.u32(length);
        in.bytes(payload);
        return in.take();
    }
    std::uint32_t error() {
        const auto value = load<ByteOrder::big, std::uint32_t>(out.data() + 4);
        out.clear();
        return value;
    }
    nbd::Server server;
    Bytes out;
    std::vector<nbd::Request> requests;
    std::vector<Bytes> data;
};

// Sent by QEMU 7.2's client (qemu-io over a unix socket), from its first byte: flags, structured
// replies and a meta context asked for, GO with block sizes.
const Bytes kQemuHello = {0x00, 0x00, 0x00, 0x03, 'I',  'H',  'A',  'V',  'E',  'O',  'P',
                          'T',  0x00, 0x00, 0x00, 0x08, 0x00, 0x00, 0x00, 0x00, 'I',  'H',
                          'A',  'V',  'E',  'O',  'P',  'T',  0x00, 0x00, 0x00, 0x07, 0x00,
                          0x00, 0x00, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x03};

TEST(NbdServer, NegotiatesWithQemu) {
    for (const std::size_t step : {kQemuHello.size(), std::size_t{1}}) {
        Nbd peer({1 << 20});
        EXPECT_EQ(peer.server.greeting().size(), 18U);
        for (std::size_t at = 0; at < kQemuHello.size(); at += step)
            ASSERT_TRUE(peer.feed(ByteView(kQemuHello).subspan(at, step)).has_value());
        EXPECT_TRUE(peer.server.is_transmitting());
        // Structured replies refused, size and block sizes told, acknowledged.
        EXPECT_EQ(peer.out.size(), 20U + 20 + 12 + 20 + 14 + 20);
        EXPECT_EQ(peer.out[12], 0x80);
    }
}

TEST(NbdServer, TakesRequestsAtEveryCut) {
    const Bytes payload(600, 'w');
    Bytes stream = Nbd::request(1, 1, 512, 600, payload);
    const Bytes read = Nbd::request(0, 0, 0, 4096);
    stream.insert(stream.end(), read.begin(), read.end());
    for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
        Nbd peer({1 << 20});
        peer.negotiate();
        ASSERT_TRUE(peer.feed(ByteView(stream).first(cut)).has_value());
        ASSERT_TRUE(peer.feed(ByteView(stream).subspan(cut)).has_value());
        ASSERT_EQ(peer.requests.size(), 2U);
        EXPECT_EQ(peer.data[0], payload);
        EXPECT_TRUE(peer.requests[0].force_unit_access);
        EXPECT_EQ(peer.requests[1].length, 4096U);
        EXPECT_EQ(peer.requests[1].cookie, 77U);
    }
}

TEST(NbdServer, HoldsRequestsBackBehindManyAnswers) {
    Nbd peer({nbd::kMaxTransfer, false, false});
    peer.negotiate();
    Bytes input;
    constexpr std::size_t kReads = 10;
    for (std::size_t count = 0; count < kReads; ++count) {
        const Bytes one = Nbd::request(0, 0, 0, nbd::kMaxTransfer);
        input.insert(input.end(), one.begin(), one.end());
    }
    const Bytes data(nbd::kMaxTransfer);
    std::size_t answered = 0;
    int turns = 0;
    do {
        const auto fed = peer.server.feed(input, peer.out, [&](const nbd::Request& request) {
            nbd::Server::reply(peer.out, request.cookie, nbd::Errno::ok, data);
            ++answered;
        });
        ASSERT_TRUE(fed.has_value());
        EXPECT_LT(peer.out.size(), nbd::kMaxAnswers + nbd::kMaxTransfer + 100);
        peer.out = {};
        input.clear();
        ++turns;
    } while (peer.server.holds_back());
    EXPECT_EQ(answered, kReads);
    EXPECT_GE(turns, 5);
}

TEST(NbdServer, KeepsRequestsInsideTheExport) {
    Nbd peer({4096});
    peer.negotiate();
    const auto error_of = [&](const Bytes& request) {
        EXPECT_TRUE(peer.feed(request).has_value());
        return peer.error();
    };
    EXPECT_EQ(error_of(Nbd::request(0, 0, 4096, 1)), 22U);
    EXPECT_EQ(error_of(Nbd::request(0, 0, UINT64_MAX, 512)), 22U);
    EXPECT_EQ(error_of(Nbd::request(0, 1, 4000, 97, Bytes(97))), 28U);
    EXPECT_EQ(error_of(Nbd::request(0, 6, 0, UINT32_MAX)), 28U);
    EXPECT_EQ(error_of(Nbd::request(0x8000, 0, 0, 1)), 22U);
    EXPECT_EQ(error_of(Nbd::request(0, 99, 0, 1)), 22U);
    EXPECT_EQ(error_of(Nbd::request(0, 0, 0, 0)), 22U);
    EXPECT_TRUE(peer.requests.empty());
    EXPECT_THAT(peer.feed(Nbd::request(0, 1, 0, nbd::kMaxTransfer + 1)).error().message,
                HasSubstr("at most 33554432"));
    Nbd reader({4096, true, false});
    reader.negotiate();
    EXPECT_TRUE(reader.feed(Nbd::request(0, 1, 0, 1, Bytes(1))).has_value());
    EXPECT_EQ(reader.error(), 1U);
}

TEST(NbdServer, ServesNothingInTheClearWhenTlsIsNeeded) {
    const auto option = [](std::uint32_t number) {
        BigWriter in;
        in.u64(0x49484156454f5054);
        in.u32(number);
        in.u32(0);
        return in.take();
    };
    Nbd peer({4096, false, true});
    ASSERT_TRUE(peer.feed(Bytes{0, 0, 0, 3}).has_value());
    ASSERT_TRUE(peer.feed(option(3)).has_value());
    EXPECT_EQ(peer.out[15], 5);  // TLS required
    peer.out.clear();
    ASSERT_TRUE(peer.feed(option(5)).has_value());
    EXPECT_EQ(peer.out[15], 1);  // acknowledged
    EXPECT_TRUE(peer.server.wants_tls());
    peer.server.secured();
    peer.negotiate(false);
    Nbd smuggler({4096, false, true});
    Bytes both = {0, 0, 0, 3};
    for (const std::uint32_t number : {5U, 3U}) {
        const Bytes bytes = option(number);
        both.insert(both.end(), bytes.begin(), bytes.end());
    }
    EXPECT_THAT(smuggler.feed(both).error().message, HasSubstr("in the clear behind STARTTLS"));
}

TEST(NbdServer, EndsWithThosePeersThatSpeakSomethingElse) {
    Nbd old({4096});
    EXPECT_THAT(old.feed(Bytes{0, 0, 0, 0}).error().message, HasSubstr("fixed newstyle"));
    Nbd huge({4096});
    BigWriter option;
    option.u32(3);
    option.u64(0x49484156454f5054);
    option.u32(7);
    option.u32(1U << 30);
    EXPECT_THAT(huge.feed(option.view()).error().message, HasSubstr("more than 8192 bytes"));
    Nbd endless({4096});
    BigWriter many;
    many.u32(3);
    for (int count = 0; count < 100; ++count) {
        many.u64(0x49484156454f5054);
        many.u32(99);
        many.u32(0);
    }
    EXPECT_THAT(endless.feed(many.view()).error().message, HasSubstr("more than 64 options"));
}

}  // namespace
}  // namespace segue
