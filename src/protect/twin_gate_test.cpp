// SPDX-License-Identifier: LGPL-2.1-or-later
#include "protect/twin_gate.h"

#include <gtest/gtest.h>

#include "protect/divergence_judge.h"

namespace segue {
namespace {

constexpr std::uint8_t kFin = 1, kSyn = 2, kReset = 4, kAck = 16;
constexpr Instant kStart{1s};

Bytes ipv4(std::uint8_t protocol, const Bytes& body, std::uint16_t identification = 1) {
    BigWriter out;
    out.bytes(Bytes(12, 0x52));
    out.u16(0x0800);
    out.u8(0x45);
    out.u8(0);
    out.u16(static_cast<std::uint16_t>(20 + body.size()));
    out.u16(identification);
    out.u16(0);
    out.u8(64);
    out.u8(protocol);
    out.u16(0);
    out.u32(0x0a000002);
    out.u32(0x0a000001);
    out.bytes(body);
    return out.take();
}

Bytes udp(std::string_view text, std::uint16_t port = 9, std::uint16_t identification = 1) {
    BigWriter out;
    out.u16(port);
    out.u16(9000);
    out.u16(static_cast<std::uint16_t>(8 + text.size()));
    out.u16(0);
    out.bytes(as_bytes(text));
    return ipv4(17, out.take(), identification);
}

Bytes tcp(std::uint32_t sequence, std::uint32_t ack, std::string_view text,
          std::uint8_t flags = kAck) {
    BigWriter out;
    out.u16(80);
    out.u16(9000);
    out.u32(sequence);
    out.u32(ack);
    out.u8(0x50);
    out.u8(flags);
    out.u16(1000);
    out.u32(0);
    out.bytes(as_bytes(text));
    return ipv4(6, out.take());
}

Bytes arp(char what) {
    Bytes frame(60, static_cast<std::uint8_t>(what));
    frame[12] = 0x08;
    frame[13] = 0x06;
    return frame;
}

TwinGate::Frames frames(std::initializer_list<Bytes> list) {
    TwinGate::Frames out;
    for (const Bytes& frame : list) {
        const Bytes whole = framed(frame);
        out.bytes.insert(out.bytes.end(), whole.begin(), whole.end());
        out.count += 1;
    }
    return out;
}

struct Twins : TwinGate {
    void primary(std::initializer_list<Bytes> list, Instant now = kStart) {
        primary_sent(frames(list), now);
    }
    void shadow(std::initializer_list<Bytes> list) { shadow_sent(frames(list)); }
    Bytes leaves() { return take().leaves.bytes; }
};
Bytes all(std::initializer_list<Bytes> list) {
    return frames(list).bytes;
}

TEST(TwinGate, HoldsWithoutAShadowAndGivesTheEpochEverythingInItsOrder) {
    Twins gate;
    gate.primary({udp("1"), arp('a'), udp("2")});
    gate.shadow({udp("1")});
    EXPECT_TRUE(gate.take().primary_in.bytes.empty());
    EXPECT_EQ(gate.held_frames(), 3U);
    EXPECT_EQ(gate.end_epoch().bytes, all({udp("1"), arp('a'), udp("2")}));
    EXPECT_EQ(gate.held_frames(), 0U);
    EXPECT_EQ(gate.held_bytes(), 0U);
}

TEST(TwinGate, LetsOutWhatBothHaveSaidAndGivesColoCompareOneAtATime) {
    Twins gate;
    gate.begin(kStart);
    gate.primary({udp("1"), udp("2"), udp("other", 10)});
    auto output = gate.take();
    EXPECT_EQ(output.primary_in.bytes, all({udp("1"), udp("other", 10)}));
    EXPECT_EQ(output.leaves.count, 0U);
    // The identification is not what a guest says.
    gate.shadow({udp("1", 9, 7)});
    EXPECT_EQ(gate.take().shadow_in.bytes, all({udp("1", 9, 7)}));
    gate.passed(udp("1"));
    output = gate.take();
    EXPECT_EQ(output.leaves.bytes, all({udp("1")}));
    EXPECT_EQ(output.primary_in.bytes, all({udp("2")}));
}

TEST(TwinGate, ColoComparesWordAloneLetsNothingOut) {
    Twins gate;
    gate.begin(kStart);
    gate.primary({udp("1")});
    gate.shadow({udp("2")});
    gate.passed(udp("1"));
    gate.passed(udp("never sent"));
    EXPECT_TRUE(gate.leaves().empty());
    EXPECT_EQ(gate.held_frames(), 1U);
}

TEST(TwinGate, LooksItselfAtWhatColoCompareDoesNotCompare) {
    Twins gate;
    gate.begin(kStart);
    gate.primary({arp('a'), arp('b')});
    EXPECT_TRUE(gate.take().primary_in.bytes.empty());
    gate.shadow({arp('b')});
    EXPECT_EQ(gate.leaves(), all({arp('b')}));
    gate.shadow({arp('c'), arp('a')});
    EXPECT_EQ(gate.leaves(), all({arp('a')}));
    // A fragment's first bytes are no ports.
    Bytes fragment = udp("1");
    fragment[20] = 0x20;
    gate.primary({fragment});
    gate.passed(fragment);
    EXPECT_TRUE(gate.leaves().empty());
}

TEST(TwinGate, AnAcknowledgementLeavesWhenTheShadowHasReadAsMuch) {
    Twins gate;
    gate.begin(kStart);
    gate.primary({tcp(100, 500, "answer")});
    gate.shadow({tcp(100, 400, "answer")});
    gate.passed(tcp(100, 500, "answer"));
    EXPECT_TRUE(gate.leaves().empty());
    gate.shadow({tcp(106, 500, "")});
    EXPECT_EQ(gate.leaves(), all({tcp(100, 500, "answer")}));
    // Whoever goes on from here has nothing left to say.
    EXPECT_TRUE(gate.take_over().bytes.empty());
}

TEST(TwinGate, ASynAFinAndAResetNeedTheShadowsOwn) {
    for (const std::uint8_t flag : {kSyn, kFin, kReset}) {
        const Bytes frame = tcp(100, 500, "", static_cast<std::uint8_t>(kAck | flag));
        Twins gate;
        gate.begin(kStart);
        gate.primary({frame});
        gate.shadow({tcp(100, 500, ""), tcp(200, 500, "")});
        gate.passed(frame);
        EXPECT_TRUE(gate.leaves().empty()) << int{flag};
        gate.shadow({frame});
        EXPECT_EQ(gate.leaves(), all({frame})) << int{flag};
    }
    // Another first number is another connection.
    Twins gate;
    gate.begin(kStart);
    gate.primary({tcp(100, 500, "", kAck | kSyn)});
    gate.shadow({tcp(90, 500, "", kAck | kSyn), tcp(101, 500, "")});
    gate.passed(tcp(100, 500, "", kAck | kSyn));
    EXPECT_TRUE(gate.leaves().empty());
    EXPECT_TRUE(gate.wants_checkpoint(kStart + 10ms));
}

TEST(TwinGate, PayloadThatTheShadowHasNotSentStays) {
    Twins gate;
    gate.begin(kStart);
    gate.primary({tcp(0xffffffff, 1, "ab"), tcp(1, 1, "cd")});
    gate.shadow({tcp(0xffffffff, 1, "ab")});
    gate.passed(tcp(0xffffffff, 1, "ab"));
    // As an old comparison of colo-compare's would have it.
    gate.passed(tcp(1, 1, "cd"));
    EXPECT_EQ(gate.leaves(), all({tcp(0xffffffff, 1, "ab")}));
    EXPECT_EQ(gate.held_frames(), 1U);
}

TEST(TwinGate, TheShadowThatTakesOverSaysWhatNobodyHasHeard) {
    Twins gate;
    gate.begin(kStart);
    gate.primary({udp("1"), udp("2")});
    gate.shadow({udp("1"), arp('a'), udp("2"), udp("3")});
    gate.passed(udp("1"));
    EXPECT_EQ(gate.leaves(), all({udp("1")}));
    EXPECT_EQ(gate.take_over().bytes, all({arp('a'), udp("2"), udp("3")}));
    EXPECT_EQ(gate.held_frames(), 0U);
    EXPECT_FALSE(gate.is_comparing());
}

TEST(TwinGate, WhatIsSealedDoesNotLeaveTwiceAndTheShadowStillKnowsIt) {
    Twins gate;
    gate.begin(kStart);
    gate.primary({udp("1")});
    gate.shadow({udp("1")});
    (void)gate.take();
    EXPECT_EQ(gate.end_epoch().bytes, all({udp("1")}));
    gate.passed(udp("1"));
    EXPECT_TRUE(gate.leaves().empty());
    // Its checkpoint never came: the primary's is forgotten, and the shadow's is said.
    EXPECT_EQ(gate.take_over().bytes, all({udp("1")}));
}

TEST(TwinGate, WhatMayLeaveIsNotLostWhenTheShadowEnds) {
    Twins gate;
    gate.begin(kStart);
    gate.primary({arp('a')});
    gate.shadow({arp('a')});
    gate.end();
    EXPECT_EQ(gate.end_epoch().bytes, all({arp('a')}));
}

TEST(TwinGate, AsksForACheckpointAfterAWhileAndSoonerForADifference) {
    Twins gate;
    gate.begin(kStart);
    EXPECT_FALSE(gate.next_look().has_value());
    gate.primary({udp("1")}, kStart + 20ms);
    // It begins with cold caches.
    EXPECT_FALSE(gate.wants_checkpoint(kStart + 999ms));
    EXPECT_TRUE(gate.wants_checkpoint(kStart + 1s));
    gate.differs(kStart + 20ms);
    EXPECT_FALSE(gate.wants_checkpoint(kStart + 29ms));
    EXPECT_TRUE(gate.wants_checkpoint(kStart + 30ms));
    // It was one of order only.
    gate.shadow({udp("1")});
    gate.passed(udp("1"));
    EXPECT_FALSE(gate.wants_checkpoint(kStart + 2s));
    gate.primary({udp("2")}, kStart + 5s);
    EXPECT_FALSE(gate.wants_checkpoint(kStart + 5199ms));
    EXPECT_TRUE(gate.wants_checkpoint(kStart + 5200ms));
}

TEST(TwinGate, WhatIsHeldWhenAShadowBeginsIsComparedToo) {
    Twins gate;
    gate.primary({udp("1"), arp('a')});
    gate.begin(kStart + 5s);
    EXPECT_EQ(gate.take().primary_in.bytes, all({udp("1")}));
    gate.shadow({arp('a'), udp("1")});
    gate.passed(udp("1"));
    EXPECT_EQ(gate.leaves(), all({arp('a'), udp("1")}));
}

// A busy guest that its shadow falls behind: a look at each of those that wait, for every frame,
// would take minutes.
TEST(TwinGate, ManyFramesThatWaitCostNoLookEach) {
    constexpr std::uint32_t kFrames = 60000;
    const auto raw = [](std::uint32_t number) {
        Bytes frame = arp('a');
        store<ByteOrder::big>(frame.data() + 40, number);
        return frame;
    };
    for (const bool is_tcp : {false, true}) {
        Twins gate;
        gate.begin(kStart);
        for (std::uint32_t number = 0; number < kFrames; ++number)
            gate.primary({is_tcp ? tcp(number, 1, "x") : raw(number)});
        EXPECT_EQ(gate.held_frames(), kFrames);
        std::size_t left = 0;
        for (std::uint32_t number = 0; number < kFrames; ++number) {
            const Bytes frame = is_tcp ? tcp(number, 1, "x") : raw(number);
            gate.shadow({frame});
            gate.passed(frame);
            left += gate.take().leaves.count;
        }
        EXPECT_EQ(left, kFrames);
        EXPECT_EQ(gate.held_bytes(), 0U);
    }
}

TEST(TwinGate, AShadowThatSaysTooMuchIsCut) {
    Twins gate;
    gate.begin(kStart);
    const Bytes large = udp(std::string(60000, 'x'));
    for (std::size_t sent = 0; sent <= TwinGate::kMaxAhead; sent += large.size())
        gate.shadow({large});
    EXPECT_EQ(gate.dropped(), 1U);
}

TEST(IpPacket, WhatDoesNotFitItsFrameIsRaw) {
    const Bytes whole = tcp(1, 2, "x");
    EXPECT_TRUE(parse_frame(whole).is_tcp());
    for (std::size_t size = 0; size < whole.size(); ++size)
        EXPECT_TRUE(parse_frame(ByteView(whole).first(size)).is_raw()) << size;
    Bytes padded = whole;
    padded.resize(60, 0);
    EXPECT_EQ(parse_frame(padded).body.size(), 21U);
    Bytes long_head = whole;
    long_head[46] = 0xf0;
    EXPECT_TRUE(parse_frame(long_head).is_raw());
}

TEST(DivergenceJudge, LeavesHybridModeForManyDifferencesAndWaitsLongerEachTime) {
    DivergenceJudge judge({.differences = 2, .window = 1s, .calm = 10s, .longest_calm = 15s});
    Instant now = kStart;
    EXPECT_FALSE(judge.difference(now));
    EXPECT_FALSE(judge.difference(now + 600ms));
    EXPECT_FALSE(judge.difference(now + 1200ms));
    EXPECT_TRUE(judge.difference(now + 1300ms));
    EXPECT_FALSE(judge.is_hybrid());
    EXPECT_FALSE(judge.difference(now + 1400ms));
    EXPECT_FALSE(judge.look(now + 11s));
    EXPECT_TRUE(judge.look(now + 11300ms));
    EXPECT_TRUE(judge.is_hybrid());
    judge.fall_back(now + 12s);
    EXPECT_EQ(judge.calm(), 15s);
    EXPECT_FALSE(judge.look(now + 26s));
    EXPECT_TRUE(judge.look(now + 27s));
    // It held this time.
    judge.fall_back(now + 60s);
    EXPECT_EQ(judge.calm(), 10s);
}

// A scan, of which both guests say the same: nothing waits, and every flow is remembered.
TEST(TwinGate, AnEpochOfMoreFlowsThanAreRememberedEnds) {
    TwinGate gate;
    gate.begin(kStart);
    for (std::size_t port = 0; port <= TwinGate::kMaxFlows; ++port) {
        EXPECT_FALSE(gate.wants_checkpoint(kStart)) << port;
        const auto frame = frames({udp("scan", static_cast<std::uint16_t>(port))});
        gate.shadow_sent(frame);
        gate.primary_sent(frame, kStart);
        gate.passed(udp("scan", static_cast<std::uint16_t>(port)));
        EXPECT_EQ(gate.take().leaves.count, 1U);
    }
    EXPECT_EQ(gate.held_frames(), 0U);
    EXPECT_TRUE(gate.wants_checkpoint(kStart));
    gate.begin(kStart);
    EXPECT_FALSE(gate.wants_checkpoint(kStart));
}

}  // namespace
}  // namespace segue
