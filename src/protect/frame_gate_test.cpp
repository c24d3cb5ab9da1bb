// SPDX-License-Identifier: LGPL-2.1-or-later
#include "protect/frame_gate.h"

#include <gmock/gmock.h>

namespace segue {
namespace {

using ::testing::HasSubstr;

Bytes frame(std::string_view text) {
    return framed(as_bytes(text));
}
FrameSplitter::Frames frames(std::initializer_list<std::string_view> texts) {
    FrameSplitter splitter;
    for (const std::string_view text : texts)
        EXPECT_TRUE(splitter.feed(frame(text)).has_value());
    return splitter.take();
}
std::vector<std::string> texts(const FrameSplitter::Frames& list) {
    std::vector<std::string> out;
    BigReader in(list.bytes);
    while (in.remaining() > 0)
        out.emplace_back(as_text(in.bytes(in.u32())));
    EXPECT_EQ(out.size(), list.count);
    return out;
}
using Texts = std::vector<std::string>;

TEST(FrameSplitter, CutsAtEveryByte) {
    Bytes stream = frame("one");
    const Bytes two = frame(std::string(1500, 'x'));
    stream.insert(stream.end(), two.begin(), two.end());
    for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
        FrameSplitter splitter;
        ASSERT_TRUE(splitter.feed(ByteView(stream).first(cut)).has_value());
        const std::size_t whole = splitter.take().count;
        EXPECT_EQ(whole, cut < 7 ? 0U : cut < stream.size() ? 1U : 2U);
        ASSERT_TRUE(splitter.feed(ByteView(stream).subspan(cut)).has_value());
        EXPECT_EQ(whole + splitter.take().count, 2U);
    }
}

TEST(FrameSplitter, RefusesHugeFramesAndLeavesEmptyOnesOut) {
    FrameSplitter splitter;
    EXPECT_THAT(splitter.feed(Bytes{0, 1, 0x10, 1}).error().message,
                HasSubstr("frame of 69633 bytes (at most 69632)"));
    // What is wrong is forgotten: it would grow with each call.
    ASSERT_TRUE(splitter.feed(Bytes{0, 0, 0, 0, 0, 0, 0, 1, 'x'}).has_value());
    EXPECT_EQ(texts(splitter.take()), Texts{"x"});
    EXPECT_TRUE(framed({}).empty());
}

TEST(FrameGate, HoldsPerEpochAndReleasesAtTheCommit) {
    FrameGate gate;
    EXPECT_EQ(texts(gate.sent(frames({"before"}))), Texts{"before"});
    gate.hold();
    EXPECT_EQ(gate.sent(frames({"a", "b"})).count, 0U);
    gate.seal(2);
    EXPECT_EQ(gate.sent(frames({"c"})).count, 0U);
    EXPECT_EQ(gate.held_frames(), 3U);
    EXPECT_EQ(gate.release(1).count, 0U);
    EXPECT_EQ(texts(gate.release(2)), (Texts{"a", "b"}));
    gate.seal(3);
    gate.sent(frames({"d"}));
    gate.seal(4);
    EXPECT_EQ(texts(gate.release(4)), (Texts{"c", "d"}));
    EXPECT_EQ(gate.held_bytes(), 0U);
}

TEST(FrameGate, DiscardsWhatWasNotCommittedAndPassesWhenNothingIsPromised) {
    FrameGate gate;
    gate.hold();
    gate.sent(frames({"sealed"}));
    gate.seal(5);
    gate.sent(frames({"open"}));
    FrameGate other = gate;
    gate.discard();
    EXPECT_EQ(gate.release(99).count, 0U);
    EXPECT_EQ(texts(other.pass()), (Texts{"sealed", "open"}));
    EXPECT_EQ(texts(other.sent(frames({"free"}))), Texts{"free"});
}

}  // namespace
}  // namespace segue
