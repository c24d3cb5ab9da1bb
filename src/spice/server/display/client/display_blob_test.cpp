// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/client/display_blob.h"

#include <gtest/gtest.h>

#include "spice/wire/encoding.h"
#include "spice/wire/migration.schema.h"

namespace segue::spice::server {
namespace {

Knowledge some_knowledge() {
    Knowledge knowledge;
    knowledge.pixmap_cache_id = 1;
    knowledge.pixmap_cache_size = 1 << 20;
    knowledge.glz_dictionary_id = 2;
    knowledge.glz_window = 1 << 18;
    knowledge.glz_last_image_id = 99;
    SurfaceKnowledge primary;
    primary.width = 640;
    primary.height = 480;
    primary.format = 32;
    primary.marked = true;
    primary.stale = canvas::Region(canvas::Rect{0, 0, 32, 16});
    primary.stale.unite(canvas::Rect{600, 400, 640, 480});
    primary.lossy = canvas::Region(canvas::Rect{100, 100, 300, 200});
    knowledge.surfaces[0] = primary;
    knowledge.images.add(5, 256);
    knowledge.images.add(9ull << 32, 1024);
    knowledge.streams[3] = {0, canvas::Rect{10, 20, 330, 260}, {2, 64ms, 200ms}};
    knowledge.low_bandwidth = true;
    knowledge.preferred_compression = ImageCompression::quic;
    return knowledge;
}

Bytes some_blob(bool has_lossy_list = false) {
    DisplayBlob blob;
    blob.message_serial = 1234;
    blob.knowledge = some_knowledge();
    blob.has_lossy_list = has_lossy_list;
    return write_display_blob(blob);
}

TEST(DisplayBlob, ComesBackAsItWas) {
    const Bytes blob = some_blob();
    const auto read = read_display_blob(wire::SharedBytes::copy(blob));
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(read->message_serial, 1234u);
    EXPECT_EQ(read->knowledge, some_knowledge());
}

// Where stock has JPEG in use it expects 20 bytes for each surface, and so do we of it.
TEST(DisplayBlob, ComesBackWithTheListOfLossySurfaces) {
    const Bytes blob = some_blob(true);
    const auto read = read_display_blob(wire::SharedBytes::copy(blob));
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(read->knowledge, some_knowledge());
    const auto stock = wire::parse<wire::migration::LossyDisplay>(wire::SharedBytes::copy(blob));
    ASSERT_TRUE(stock);
    EXPECT_EQ(stock->list.surfaces.at(0).right, 300);
    // Without what stock ignores.
    const auto short_one = read_display_blob(wire::SharedBytes::copy(ByteView(blob).first(104)));
    ASSERT_TRUE(short_one);
    EXPECT_EQ(short_one->knowledge.surfaces.at(0).lossy.extents(),
              (canvas::Rect{100, 100, 300, 200}));
    EXPECT_FALSE(short_one->keeps_images);
}

// What stock reads: 84 bytes and 4 for each surface, then nothing it looks at.
TEST(DisplayBlob, BeginsWithTheLayoutOfVersionOne) {
    const Bytes blob = some_blob();
    ASSERT_GT(blob.size(), 88u);
    EXPECT_EQ(as_text(ByteView(blob).first(4)), "DCMD");
    LittleReader reader(ByteView(blob).subspan(4));
    EXPECT_EQ(reader.u32(), 1u);
    EXPECT_EQ(reader.u64(), 1234u);
    const std::size_t list = load<ByteOrder::little, std::uint32_t>(blob.data() + 76);
    EXPECT_EQ(list, 80u);
    EXPECT_EQ((load<ByteOrder::little, std::uint32_t>(blob.data() + list)), 1u);
    EXPECT_EQ((load<ByteOrder::little, std::uint32_t>(blob.data() + list + 4)), 0u);
}

// Of stock: no sizes, so the surfaces must be made again.
TEST(DisplayBlob, OfStockHasSurfacesOfUnknownSize) {
    Bytes blob = some_blob();
    blob.resize(88);
    const auto read = read_display_blob(wire::SharedBytes::copy(blob));
    ASSERT_TRUE(read) << read.error().message;
    ASSERT_EQ(read->knowledge.surfaces.count(0), 1u);
    EXPECT_EQ(read->knowledge.surfaces.at(0).width, 0);
}

TEST(DisplayBlob, WithLossyRectanglesIsTold) {
    wire::migration::LossyDisplay lossy;
    lossy.fixed.glz_encoders = 4;
    wire::migration::LossySurface surface;
    surface.id = 5;
    surface.right = 10;
    lossy.list.surfaces = {surface, surface};
    lossy.list.surfaces[1].id = 7;
    const Bytes blob = wire::encode(0, lossy).body();
    const auto read = read_display_blob(wire::SharedBytes::copy(blob));
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(read->knowledge.surfaces.count(5), 1u);
    EXPECT_EQ(read->knowledge.surfaces.count(7), 1u);
}

TEST(DisplayBlob, EveryTruncationIsRefusedOrLosesTheExtension) {
    const Bytes blob = some_blob();
    for (std::size_t size = 0; size < blob.size(); ++size) {
        const auto read = read_display_blob(wire::SharedBytes::copy(ByteView(blob).first(size)));
        EXPECT_EQ(read.has_value(), size == 88) << size;
    }
}

TEST(DisplayBlob, ASurfaceThatIsDescribedButNotListedIsRefused) {
    Bytes blob = some_blob();
    // The id in the extension, behind its magic, version, form and count.
    store<ByteOrder::little, std::uint32_t>(blob.data() + 88 + 13, 3);
    EXPECT_FALSE(read_display_blob(wire::SharedBytes::copy(blob)));
}

// The last of the blob: the stream's level, interval and lead, in nine bytes.
TEST(DisplayBlob, AVideoFasterThanAnyIsRefused) {
    for (const auto& [back, value] : {std::pair{9, 7}, std::pair{8, 1001}, std::pair{4, 501}}) {
        Bytes blob = some_blob();
        std::uint8_t* field = blob.data() + blob.size() - back;
        if (back == 9) {
            *field = static_cast<std::uint8_t>(value);
        } else {
            store<ByteOrder::little, std::uint32_t>(field, static_cast<std::uint32_t>(value));
        }
        EXPECT_FALSE(read_display_blob(wire::SharedBytes::copy(blob))) << back;
    }
}

// A surface of the greatest size with `count` rows, and as many columns across them where
// `crossed`.
Bytes blob_of_strips(std::int32_t count, bool crossed) {
    DisplayBlob blob;
    SurfaceKnowledge& surface = blob.knowledge.surfaces[0];
    surface.width = surface.height = 32767;
    Bytes bytes = write_display_blob(blob);
    LittleWriter strips;
    const auto strip = [&](std::int32_t left, std::int32_t top, std::int32_t right,
                           std::int32_t bottom) {
        for (const std::int32_t side : {left, top, right, bottom})
            strips.u32(static_cast<std::uint32_t>(side));
    };
    for (std::int32_t at = 0; at < count; ++at)
        strip(0, 2 * at, 32767, 2 * at + 1);
    for (std::int32_t at = 0; crossed && at < count; ++at)
        strip(2 * at, 0, 2 * at + 1, 32767);
    // Behind magic, version, form and count: the surface's 17 bytes, and the number of stale boxes.
    const std::size_t at = 88 + 13 + 17;
    store<ByteOrder::little, std::uint32_t>(
        bytes.data() + at, static_cast<std::uint32_t>(crossed ? 2 * count : count));
    const Bytes made = strips.take();
    bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(at) + 4, made.begin(), made.end());
    return bytes;
}

// Strips that cross each other are as many boxes as their product, if anybody makes them.
TEST(DisplayBlob, AFewBytesDoNotBecomeMillionsOfBoxes) {
    EXPECT_FALSE(read_display_blob(wire::SharedBytes::take(blob_of_strips(2000, true))));
    const auto few = read_display_blob(wire::SharedBytes::take(blob_of_strips(500, false)));
    ASSERT_TRUE(few) << few.error().message;
    EXPECT_EQ(few->knowledge.surfaces.at(0).stale.rects().size(), 500u);
    const auto many = read_display_blob(wire::SharedBytes::take(blob_of_strips(2000, false)));
    ASSERT_TRUE(many) << many.error().message;
    EXPECT_EQ(many->knowledge.surfaces.at(0).stale.rects().size(), 1u) << "all that they span";
}

}  // namespace
}  // namespace segue::spice::server
