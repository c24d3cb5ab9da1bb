// SPDX-License-Identifier: LGPL-2.1-or-later
// What the writer makes, the reader reads; real QEMUs take it in tests/scenario.
#include "qemu/stream_writer.h"

#include <gtest/gtest.h>

#include "qemu/stream_test_support.h"

namespace segue {
namespace {

Bytes collect(FailoverStream& stream) {
    Bytes all;
    for (auto pieces = stream.next(); !pieces.empty(); pieces = stream.next()) {
        EXPECT_LE(pieces.size(), FailoverStream::kMaxPieces);
        for (const ByteView piece : pieces)
            all.insert(all.end(), piece.begin(), piece.end());
    }
    EXPECT_EQ(stream.size(), all.size());
    return all;
}

// The reader wants the description of a real stream, by which it finds the end of the state.
Bytes with_real_description(Bytes stream) {
    stream.resize(stream.size() - 7);
    const std::string_view description = "{\"page_size\": 4096, \"devices\": []}";
    BigWriter tail;
    tail.u8(6);
    tail.u32(description.size());
    tail.bytes(as_bytes(description));
    stream.insert(stream.end(), tail.view().begin(), tail.view().end());
    return stream;
}

struct Origin {
    Origin() {
        const auto result = feed(reader, events, captured("microvm-first.bin"), 1U << 20);
        EXPECT_TRUE(result.has_value());
    }
    std::vector<FailoverStream::Block> blocks() const {
        std::vector<FailoverStream::Block> list;
        for (const Bytes& image : events.images)
            list.push_back({image, false});
        return list;
    }
    StreamReader reader;
    ImageEvents events;
};

TEST(FailoverStream, IsReadBackAsTheSameState) {
    Origin origin;
    FailoverStream stream(origin.reader.head(), origin.blocks(), origin.events.device_state);
    const Bytes bytes = with_real_description(collect(stream));
    StreamReader reader;
    ImageEvents events;
    const auto result = feed(reader, events, bytes, 1000);
    ASSERT_TRUE(result.has_value()) << result.error().message;
    EXPECT_TRUE(reader.is_done());
    EXPECT_FALSE(reader.head().enable_colo);
    EXPECT_EQ(reader.head().machine, "microvm");
    EXPECT_EQ(reader.head().blocks, origin.reader.head().blocks);
    EXPECT_EQ(events.images, origin.events.images);
    EXPECT_EQ(events.device_state, origin.events.device_state);
    EXPECT_EQ(events.pages + events.fills, 256 + 16);
}

TEST(FailoverStream, LeavesSharedBlocksOutAndSaysSo) {
    Origin origin;
    auto blocks = origin.blocks();
    blocks[0].shared = true;
    FailoverStream stream(origin.reader.head(), blocks, origin.events.device_state);
    const Bytes bytes = with_real_description(collect(stream));
    EXPECT_LT(bytes.size(), 16 * 4200U + 4096);
    StreamReader reader;
    ImageEvents events;
    const auto result = feed(reader, events, bytes, 1U << 20);
    ASSERT_TRUE(result.has_value()) << result.error().message;
    EXPECT_TRUE(reader.head().has_capability("x-ignore-shared"));
    EXPECT_EQ(events.images[1], origin.events.images[1]);
    EXPECT_EQ(events.pages + events.fills, 16);
}

// What is marked as never written is not looked at: it would be the kernel that makes such pages.
TEST(FailoverStream, ReadsNoPageThatWasNeverWritten) {
    Origin origin;
    auto blocks = origin.blocks();
    std::vector<std::vector<bool>> written;
    for (const auto& block : blocks)
        written.emplace_back(block.image.size() / kPageSize, true);
    for (std::size_t index = 0; index < blocks.size(); ++index)
        blocks[index].written = &written[index];
    Bytes other = origin.events.images[1];
    std::fill_n(other.begin() + 3 * kPageSize, kPageSize, std::uint8_t{7});
    blocks[1].image = other;
    written[1][3] = false;
    FailoverStream stream(origin.reader.head(), blocks, origin.events.device_state);
    StreamReader reader;
    ImageEvents events;
    const auto result = feed(reader, events, with_real_description(collect(stream)), 1U << 20);
    ASSERT_TRUE(result.has_value()) << result.error().message;
    Bytes expected = origin.events.images[1];
    std::fill_n(expected.begin() + 3 * kPageSize, kPageSize, std::uint8_t{0});
    EXPECT_EQ(events.images[0], origin.events.images[0]);
    EXPECT_EQ(events.images[1], expected);
}

}  // namespace
}  // namespace segue
