// SPDX-License-Identifier: LGPL-2.1-or-later
#include "migrate/peer_link.h"

#include <gtest/gtest.h>

#include "migrate/peer_link.schema.h"

namespace segue::migrate {
namespace {

using peer::Kind;

struct Pair {
    Uuid id = *Uuid::parse("12345678-1234-4234-8234-123456789abc");
    PeerKey key{1, 2, 3};
    PeerLink source = PeerLink::dialled(id, key);
    PeerLink destination = PeerLink::accepted();

    void greet() {
        auto hello = destination.receive(source.output());
        ASSERT_TRUE(hello);
        ASSERT_EQ(hello->size(), 1u);
        EXPECT_EQ((*hello)[0].kind, Kind::hello);
        EXPECT_EQ((*hello)[0].right.id, id);
        EXPECT_EQ((*hello)[0].right.key, key);
        destination.accept();
        auto ready = source.receive(destination.output());
        ASSERT_TRUE(ready);
        EXPECT_TRUE(source.ready() && destination.ready());
    }
};

TEST(PeerLink, CarriesEveryMessage) {
    Pair pair;
    pair.greet();
    pair.source.give({pair.id, pair.key, false});
    pair.source.send(Kind::asks);
    pair.source.send(Kind::cancels);
    pair.source.send(Kind::releases);
    auto heard = pair.destination.receive(pair.source.output());
    ASSERT_TRUE(heard);
    ASSERT_EQ(heard->size(), 4u);
    EXPECT_EQ((*heard)[0].right, (GivenRight{pair.id, pair.key, false}));
    EXPECT_EQ((*heard)[0].destination_event(), DestinationEvent::right_given);
    EXPECT_EQ((*heard)[1].destination_event(), DestinationEvent::peer_asks);
    EXPECT_EQ((*heard)[2].destination_event(), DestinationEvent::peer_cancels);
    EXPECT_EQ((*heard)[3].destination_event(), DestinationEvent::peer_released);

    pair.destination.send(Kind::received);
    pair.destination.send(Kind::took);
    pair.destination.send(Kind::refused);
    pair.destination.send(Kind::unknown);
    pair.destination.tell_linked({2, 3});
    heard = pair.source.receive(pair.destination.output());
    ASSERT_TRUE(heard);
    ASSERT_EQ(heard->size(), 5u);
    EXPECT_EQ((*heard)[0].source_event(), SourceEvent::peer_received);
    EXPECT_EQ((*heard)[1].source_event(), SourceEvent::peer_took);
    EXPECT_EQ((*heard)[2].source_event(), SourceEvent::peer_refused);
    EXPECT_EQ((*heard)[3].source_event(), SourceEvent::peer_unknown);
    EXPECT_EQ((*heard)[4].channel, (LinkedChannel{2, 3}));
    EXPECT_FALSE((*heard)[4].source_event());
}

TEST(PeerLink, CarriesAScreenInPieces) {
    for (const std::size_t size : {0u, 1u, 65536u, 65537u, 200000u}) {
        Pair pair;
        pair.greet();
        pair.destination.send(Kind::carries);
        auto heard = pair.source.receive(pair.destination.output());
        ASSERT_TRUE(heard);
        EXPECT_EQ((*heard)[0].kind, Kind::carries);
        EXPECT_FALSE((*heard)[0].source_event());
        Bytes state(size);
        for (std::size_t at = 0; at < size; ++at)
            state[at] = static_cast<std::uint8_t>(at * 7);
        pair.source.send_screen(true, state);
        // Nothing that follows is held up by a long frame's limits.
        pair.source.send(Kind::asks);
        heard = pair.destination.receive(pair.source.output());
        ASSERT_TRUE(heard) << heard.error().message;
        ASSERT_GE(heard->size(), 2u);
        Bytes joined;
        for (std::size_t at = 0; at + 1 < heard->size(); ++at) {
            EXPECT_EQ((*heard)[at].kind, Kind::screen);
            EXPECT_TRUE((*heard)[at].screen.last);
            EXPECT_EQ((*heard)[at].screen.more, at + 2 < heard->size());
            const Bytes& data = (*heard)[at].screen.data;
            joined.insert(joined.end(), data.begin(), data.end());
        }
        EXPECT_EQ(joined, state);
        EXPECT_EQ(heard->back().kind, Kind::asks);
        pair.destination.tell_taken(true);
        heard = pair.source.receive(pair.destination.output());
        ASSERT_TRUE(heard);
        EXPECT_TRUE((*heard)[0].screen.last);
    }
}

TEST(PeerLink, SaysSoWhenTheMigrationIsUnknown) {
    Pair pair;
    ASSERT_TRUE(pair.destination.receive(pair.source.output()));
    pair.destination.refuse();
    auto heard = pair.source.receive(pair.destination.output());
    ASSERT_TRUE(heard);
    ASSERT_EQ(heard->size(), 1u);
    EXPECT_EQ((*heard)[0].source_event(), SourceEvent::peer_unknown);
    EXPECT_FALSE(pair.source.ready());
}

TEST(PeerLink, TakesBytesInAnyPieces) {
    for (std::size_t piece = 1; piece < 80; ++piece) {
        Pair pair;
        pair.greet();
        for (int count = 0; count < 20; ++count)
            pair.source.give({pair.id, pair.key, true});
        const Bytes bytes = pair.source.output();
        ByteView rest = bytes;
        std::size_t heard = 0;
        while (!rest.empty()) {
            const std::size_t size = std::min(piece, rest.size());
            auto messages = pair.destination.receive(rest.first(size));
            ASSERT_TRUE(messages);
            heard += messages->size();
            rest = rest.subspan(size);
        }
        EXPECT_EQ(heard, 20u);
    }
}

TEST(PeerLink, EndsOnWhateverBreaksTheRules) {
    const auto refused = [](PeerLink link, const Bytes& bytes) {
        auto answer = link.receive(bytes);
        EXPECT_FALSE(answer);
        return answer ? std::string() : answer.error().message;
    };
    EXPECT_EQ(refused(PeerLink::accepted(), {0, 0, 1, 0, 0, 0, 0, 4}),
              "a peer link frame of 256 bytes (4 to 64 are allowed)");
    EXPECT_EQ(refused(PeerLink::accepted(), {0, 2, 0, 0}),
              "a peer link frame of 131072 bytes (4 to 64 are allowed)");
    EXPECT_EQ(refused(PeerLink::accepted(), {0, 0, 0, 3}),
              "a peer link frame of 3 bytes (4 to 64 are allowed)");
    EXPECT_EQ(refused(PeerLink::accepted(), {0, 0, 0, 4, 0, 0, 0, 4}),
              "'asks' came before the greeting of a peer link");
    EXPECT_EQ(refused(PeerLink::accepted(), {0, 0, 0, 4, 0, 0, 0, 8}),
              "'took' came from the wrong end of a peer link");
    EXPECT_EQ(refused(PeerLink::accepted(), {0, 0, 0, 4, 0, 0, 0, 99}),
              "unknown kind 99 on a peer link");
    EXPECT_EQ(refused(PeerLink::dialled({}, {}), {0, 0, 0, 4, 0, 0, 0, 8}),
              "'took' came before the greeting of a peer link");
    EXPECT_FALSE(refused(PeerLink::dialled({}, {}), {0, 0, 0, 5, 0, 0, 0, 2, 0}).empty());

    // Nothing counts before the key was looked at.
    Pair pair;
    pair.source.send(Kind::asks);
    EXPECT_EQ(refused(PeerLink::accepted(), pair.source.output()),
              "'asks' came before the hello was accepted");

    Bytes hello = PeerLink::dialled({}, {}).output();
    hello[11] = 9;
    EXPECT_EQ(refused(PeerLink::accepted(), hello),
              "the peer speaks version 9 of the peer link, this daemon 1");
}

TEST(PeerLink, WaitsForTheRestOfAFrame) {
    const Bytes hello = PeerLink::dialled({}, {1}).output();
    for (std::size_t size = 0; size < hello.size(); ++size) {
        PeerLink link = PeerLink::accepted();
        auto messages = link.receive(ByteView(hello).first(size));
        ASSERT_TRUE(messages);
        EXPECT_TRUE(messages->empty());
        messages = link.receive(ByteView(hello).subspan(size));
        ASSERT_TRUE(messages);
        EXPECT_EQ(messages->size(), 1u);
    }
}

}  // namespace
}  // namespace segue::migrate
