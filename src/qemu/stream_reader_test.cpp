// SPDX-License-Identifier: LGPL-2.1-or-later
// The reader against streams that a real QEMU 7.2 sent (tests/corpus/stream), and against bad ones.
#include "qemu/stream_reader.h"

#include <gmock/gmock.h>

#include "qemu/stream_test_support.h"

namespace segue {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::size_t kWhole = 1U << 30;

std::uint16_t word_at(const Bytes& image, std::size_t at) {
    return load<ByteOrder::little, std::uint16_t>(image.data() + at);
}

struct Session {
    StreamReader reader;
    ImageEvents events;
    Result<> take(const std::string& name, std::size_t step = kWhole) {
        return feed(reader, events, captured(name), step);
    }
};

TEST(StreamReader, ReadsTheFirstStateOfARealPrimary) {
    for (const std::size_t step : {kWhole, std::size_t{1}, std::size_t{977}, std::size_t{4104}}) {
        Session session;
        const auto result = session.take("microvm-first.bin", step);
        ASSERT_TRUE(result.has_value()) << result.error().message;
        const StreamHead& head = session.reader.head();
        EXPECT_EQ(head.machine, "microvm");
        EXPECT_TRUE(head.enable_colo);
        ASSERT_EQ(head.blocks.size(), 2U);
        EXPECT_EQ(head.blocks[0], (RamBlock{"microvm.ram", 1U << 20, 0}));
        EXPECT_EQ(head.blocks[1], (RamBlock{"pc.bios", 1U << 16, 0}));
        EXPECT_EQ(session.events.first_states, 1);
        EXPECT_TRUE(is_plausible_device_state(session.events.device_state));
        // The firmware's first instruction, and its far jump at the reset vector.
        EXPECT_EQ(session.events.images[1][0], 0xfa);
        EXPECT_EQ(session.events.images[1][0xfff0], 0xea);
        // Its four counters run together.
        const Bytes& ram = session.events.images[0];
        EXPECT_GT(word_at(ram, 0x1010), 0);
        EXPECT_EQ(word_at(ram, 0x2010), word_at(ram, 0x30fe));
    }
}

// What a QEMU 7.2 sends behind a migration that was cancelled.
TEST(StreamReader, PassesOverAReturnPathThatNobodyReads) {
    const Bytes whole = captured("none-first.bin");
    Bytes bytes(whole.begin(), whole.begin() + 0x11);
    for (const std::uint8_t byte : {8, 0, 1, 0, 0, 8, 0, 2, 0, 4, 0, 0, 0, 1})
        bytes.push_back(byte);
    bytes.insert(bytes.end(), whole.begin() + 0x11, whole.end());
    for (const std::size_t step : {kWhole, std::size_t{1}}) {
        StreamReader reader;
        ImageEvents events;
        const auto result = feed(reader, events, bytes, step);
        ASSERT_TRUE(result.has_value()) << result.error().message;
        EXPECT_TRUE(reader.head().enable_colo);
        EXPECT_EQ(events.first_states, 1);
    }
}

TEST(StreamReader, ReadsCheckpointsWithContinuedBlocksAndDeltas) {
    for (const std::size_t step : {kWhole, std::size_t{1}, std::size_t{333}}) {
        Session session;
        ASSERT_TRUE(session.take("microvm-first.bin", step).has_value());
        session.events.deltas = 0;
        ASSERT_TRUE(session.take("microvm-checkpoint-1.bin", step).has_value());
        EXPECT_TRUE(session.reader.is_between_messages());
        EXPECT_EQ(session.events.deltas, 0);
        ASSERT_TRUE(session.take("microvm-checkpoint-2.bin", step).has_value());
        EXPECT_EQ(session.events.deltas, 3);
        EXPECT_EQ(word_at(session.events.images[0], 0x1010), 0x29e8);
        EXPECT_EQ(word_at(session.events.images[0], 0x30fe), 0x29e8);
        ASSERT_TRUE(session.take("microvm-checkpoint-3.bin", step).has_value());
        EXPECT_EQ(word_at(session.events.images[0], 0x2010), 0x2e79);
        EXPECT_EQ(session.events.device_state.size(), 3244U);
        EXPECT_EQ(session.events.messages.size(), 9U);
    }
}

TEST(StreamReader, ReadsAMachineWithoutProcessors) {
    Session session;
    ASSERT_TRUE(session.take("none-first.bin").has_value());
    EXPECT_EQ(session.events.fills, 256);
    ASSERT_TRUE(session.take("none-checkpoint-1.bin").has_value());
    EXPECT_THAT(session.events.messages,
                ElementsAre(ColoMessage::checkpoint_request, ColoMessage::vmstate_send,
                            ColoMessage::vmstate_size));
}

TEST(StreamReader, IsNeverDoneWithATruncatedStream) {
    const Bytes whole = captured("none-first.bin");
    for (std::size_t size = 0; size < whole.size(); ++size) {
        StreamReader reader;
        ImageEvents events;
        const auto result = feed(reader, events, ByteView(whole).first(size), kWhole);
        if (!result) {
            EXPECT_THAT(result.error().message, HasSubstr("bytes used"));
        }
        EXPECT_EQ(events.first_states, 0) << size;
        EXPECT_GE(reader.wanted(), 1U);
    }
}

TEST(StreamReader, NeverTellsATruncatedCheckpointsState) {
    const Bytes first = captured("microvm-first.bin");
    const Bytes checkpoint = captured("microvm-checkpoint-2.bin");
    StreamReader origin;
    ImageEvents before;
    ASSERT_TRUE(feed(origin, before, first, kWhole).has_value());
    ASSERT_TRUE(feed(origin, before, captured("microvm-checkpoint-1.bin"), kWhole).has_value());
    for (std::size_t size = 0; size < checkpoint.size(); ++size) {
        StreamReader reader = origin;
        ImageEvents events = before;
        ASSERT_TRUE(reader.read(ByteView(checkpoint).first(size), events).has_value());
        EXPECT_EQ(events.device_state, before.device_state) << size;
    }
}

TEST(StreamReader, SurvivesEveryByteBeingWrong) {
    const Bytes whole = captured("none-first.bin");
    for (std::size_t at = 0; at < whole.size(); ++at) {
        for (const int flip : {0x01, 0x80, 0xff}) {
            Bytes bytes = whole;
            bytes[at] ^= static_cast<std::uint8_t>(flip);
            StreamReader reader;
            ImageEvents events;
            // Whatever it answers, ASan and the bounds of ImageEvents judge.
            (void)feed(reader, events, bytes, kWhole);
        }
    }
}

struct BadCase {
    const char* name;
    std::size_t at;
    Bytes replacement;
    const char* expected;
};

// Offsets are those of none-first.bin: magic 0, configuration 8, command 0x11, ram start 0x16.
TEST(StreamReader, NamesWhatIsWrong) {
    const Bytes whole = captured("none-first.bin");
    const std::vector<BadCase> cases = {
        {"magic", 0, {'X'}, "begins with"},
        {"version", 7, {4}, "version 4"},
        {"machine type", 9, {0x7f}, "machine type of"},
        {"two configurations", 0x11, {7}, "twice"},
        {"postcopy", 0x13, {3}, "postcopy-ram"},
        {"a ping of no bytes", 0x13, {2}, "command 2 of 0 bytes"},
        {"section", 0x1d, {'x'}, "iterable section 'rxm'"},
        {"total", 0x27, {1}, "no list of at most"},
        {"block name", 0x2f, {0}, "RAM block"},
        {"block length", 0x3a, {1}, "no whole pages"},
        {"footer", 0x47, {3}, "no footer of section 2"},
        {"section id", 0x4c, {9}, "part of section"},
    };
    for (const BadCase& bad : cases) {
        Bytes bytes = whole;
        std::copy(bad.replacement.begin(), bad.replacement.end(), bytes.begin() + bad.at);
        StreamReader reader;
        ImageEvents events;
        const auto result = feed(reader, events, bytes, kWhole);
        ASSERT_FALSE(result.has_value()) << bad.name;
        EXPECT_THAT(result.error().message, HasSubstr(bad.expected)) << bad.name;
    }
}

TEST(StreamReader, RefusesUnknownMessagesAndHugeStates) {
    const auto after_first = [](const Bytes& bytes) {
        Session session;
        EXPECT_TRUE(session.take("none-first.bin").has_value());
        return feed(session.reader, session.events, bytes, kWhole);
    };
    EXPECT_THAT(after_first({0, 0, 0, 7}).error().message, HasSubstr("unknown message 0x7"));
    EXPECT_THAT(after_first({0, 0, 0, 4, 0, 0, 1, 0, 0, 0, 0, 0}).error().message,
                HasSubstr("device state of 1099511627776 bytes"));
    EXPECT_THAT(after_first({0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0}).error().message,
                HasSubstr("device state of 0 bytes"));
    EXPECT_THAT(after_first({0, 0, 0, 3, 4}).error().message, HasSubstr("in a checkpoint"));
}

class RamRecords : public ::testing::Test {
  protected:
    RamRecords() { (void)events.on_head({"", {}, {}, true, 0, blocks}); }
    std::string error_of(const BigWriter& out) {
        RamReader reader;
        const auto result = reader.read(out.view(), blocks, events);
        return result ? "" : result.error().message;
    }
    std::vector<RamBlock> blocks{{"ram", 2 * kPageSize, 0}};
    ImageEvents events;
};

TEST_F(RamRecords, RefusesWhatLeavesABlock) {
    const auto record = [](std::uint64_t word, std::string_view name, const Bytes& payload) {
        BigWriter out;
        out.u64(word);
        out.u8(static_cast<std::uint8_t>(name.size()));
        out.bytes(as_bytes(name));
        out.bytes(payload);
        return out;
    };
    EXPECT_THAT(error_of(record(2 * kPageSize | kRamFill, "ram", {0})), HasSubstr("lies beyond"));
    EXPECT_THAT(error_of(record(kRamFill, "rom", {0})), HasSubstr("does not have"));
    EXPECT_THAT(error_of(record(kRamFill | kRamContinue, "", {})), HasSubstr("before any"));
    EXPECT_THAT(error_of(record(kRamCompressed, "ram", {0})), HasSubstr("'compress'"));
    EXPECT_THAT(error_of(record(kRamHook, "ram", {0})), HasSubstr("RDMA"));
    EXPECT_THAT(error_of(record(kRamBlockList, "ram", {0})), HasSubstr("unknown flags 0x4"));
    EXPECT_THAT(error_of(record(kRamDelta, "ram", {2, 0, 1, 0})), HasSubstr("kind 2"));
    EXPECT_THAT(error_of(record(kRamDelta, "ram", {1, 0x10, 1, 0})), HasSubstr("4097 bytes"));
    // Skips 4095 bytes, then replaces two.
    EXPECT_THAT(error_of(record(kRamDelta, "ram", {1, 0, 5, 0xff, 0x1f, 2, 7, 7})),
                HasSubstr("leave their page"));
    EXPECT_EQ(events.pages + events.fills + events.deltas, 0);
}

TEST_F(RamRecords, ADeltaMayBeAppliedTwice) {
    Bytes page(kPageSize, 0x11);
    const Bytes encoded = {0x02, 0x02, 0xaa, 0xbb, 0x80, 0x08, 0x01, 0xcc};
    ASSERT_TRUE(is_sound_delta(encoded));
    const std::span<std::uint8_t, kPageSize> view(page.data(), kPageSize);
    apply_delta(encoded, view);
    EXPECT_EQ(page[2], 0xaa);
    EXPECT_EQ(page[3], 0xbb);
    EXPECT_EQ(page[4 + 1024], 0xcc);
    const Bytes once = page;
    apply_delta(encoded, view);
    EXPECT_EQ(page, once);
}

}  // namespace
}  // namespace segue
