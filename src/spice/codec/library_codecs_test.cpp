// SPDX-License-Identifier: LGPL-2.1-or-later
// LZ4, zlib and JPEG: the algorithms are the libraries', the bounds and the framing ours.
#include <gtest/gtest.h>

#include "spice/codec/jpeg_codec.h"
#include "spice/codec/lz4_codec.h"
#include "spice/codec/test_pictures.h"
#include "spice/codec/zlib_codec.h"

namespace segue::spice::codec {
namespace {

using test::Picture;

Bytes lz4(const PictureView& view) {
    Bytes out;
    EXPECT_TRUE(lz4_encode(view, out));
    return out;
}

TEST(Lz4, PicturesRoundTrip) {
    for (const Picture& picture :
         {test::console(320, 64), test::noise(33, 7, 0xffffffff), test::plain(1, 1)}) {
        for (const PixelFormat format :
             {PixelFormat::rgb16, PixelFormat::bgr24, PixelFormat::bgrx32, PixelFormat::bgra32}) {
            const PictureView view = picture.view(format);
            const Bytes data = lz4(view);
            EXPECT_EQ(lz4_read_header(data)->format, format);
            Bytes pixels(view.bytes());
            ASSERT_TRUE(lz4_decode(data, pixels));
            EXPECT_EQ(std::memcmp(pixels.data(), picture.bytes.data(), pixels.size()), 0);
        }
    }
}

// Stock servers send a block for each chunk of rows; the dictionary goes on.
TEST(Lz4, SeveralBlocksGoOn) {
    // "abcdefghijklmnop" as literals, then a match of 16 at distance 16 in a second block.
    Bytes data = {1, 8, 0, 0, 0, 18, 0xf0, 1};
    for (char c = 'a'; c <= 'p'; ++c)
        data.push_back(static_cast<std::uint8_t>(c));
    const Bytes second = {0, 0, 0, 9, 0x07, 16, 0, 0x50, 'l', 'm', 'n', 'o', 'p'};
    data.insert(data.end(), second.begin(), second.end());
    Bytes pixels(32);
    const Result<> done = lz4_decode(data, pixels);
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(as_text(pixels), "abcdefghijklmnopabcdefghijklmnop");
}

TEST(Lz4, DamageIsAnError) {
    const Picture picture = test::console(64, 16);
    const Bytes data = lz4(picture.view());
    Bytes pixels(picture.bytes.size());
    for (std::size_t size = 0; size < data.size(); ++size) {
        EXPECT_FALSE(lz4_decode(ByteView(data).first(size), pixels)) << size;
    }
    Bytes more = data;
    more.push_back(0);
    EXPECT_EQ(lz4_decode(more, pixels).error().message, "LZ4 picture: more data than the picture");
    Bytes small(pixels.size() - 4);
    EXPECT_FALSE(lz4_decode(data, small));
    Bytes odd = data;
    odd[1] = 5;
    EXPECT_FALSE(lz4_decode(odd, pixels));
    Bytes out;
    EXPECT_EQ(lz4_encode(picture.view(PixelFormat::eight_bit), out).error().code,
              ErrorCode::invalid_argument);
}

TEST(Zlib, DataRoundTripsAndLiesAreRefused) {
    const Bytes bytes = test::console(200, 50).bytes;
    Bytes data;
    ASSERT_TRUE(zlib_encode(bytes, data));
    EXPECT_EQ(zlib_decode(data, bytes.size()).value(), bytes);
    EXPECT_FALSE(zlib_decode(data, bytes.size() - 1));
    EXPECT_FALSE(zlib_decode(data, bytes.size() + 1));
    EXPECT_EQ(zlib_decode(data, kMaxPictureBytes + 1).error().code, ErrorCode::limit_exceeded);
    EXPECT_EQ(zlib_decode(Bytes(10, 1), 1 << 20).error().code, ErrorCode::limit_exceeded);
    for (std::size_t size = 0; size < data.size(); ++size) {
        EXPECT_FALSE(zlib_decode(ByteView(data).first(size), bytes.size())) << size;
    }
}

// The greatest difference of a byte, the fourth of each pixel left out.
int difference(const Bytes& one, const Bytes& other) {
    int most = 0;
    for (std::size_t i = 0; i < one.size(); ++i) {
        if (i % 4 != 3) most = std::max(most, std::abs(int{one[i]} - int{other[i]}));
    }
    return most;
}

TEST(Jpeg, PicturesComeBackAlmostEqual) {
    Picture smooth(160, 120);
    for (std::uint32_t y = 0; y < 120; ++y) {
        for (std::uint32_t x = 0; x < 160; ++x)
            smooth.set(x, y, x << 16 | y << 8 | (x + y) / 2);
    }
    Bytes data;
    ASSERT_TRUE(jpeg_encode(smooth.view(), 95, data));
    const JpegHeader header = jpeg_read_header(data).value();
    EXPECT_EQ(header.width, 160u);
    EXPECT_EQ(header.height, 120u);
    Bytes pixels(header.pixel_bytes());
    ASSERT_TRUE(jpeg_decode(data, pixels));
    EXPECT_LE(difference(pixels, smooth.bytes), 12);
    EXPECT_EQ(pixels[3], 255);
}

TEST(Jpeg, NarrowPixelsHaveTheirColours) {
    Bytes rows(16 * 16 * 2);
    for (std::size_t i = 0; i < rows.size(); i += 2)
        store<ByteOrder::little>(&rows[i], std::uint16_t{31 << 10});
    const PictureView view{PixelFormat::rgb16, 16, 16, rows.data(), 32, true};
    Bytes data;
    ASSERT_TRUE(jpeg_encode(view, 95, data));
    Bytes pixels(16 * 16 * 4);
    ASSERT_TRUE(jpeg_decode(data, pixels));
    EXPECT_GE(pixels[2], 250) << "red";
    EXPECT_LE(pixels[0], 6);
    Bytes out;
    EXPECT_FALSE(jpeg_encode(test::plain(8, 8).view(PixelFormat::eight_bit), 50, out));
}

TEST(Jpeg, DamageNeverLeavesTheBounds) {
    Bytes data;
    ASSERT_TRUE(jpeg_encode(test::photo(64, 48).view(), 80, data));
    Bytes pixels(64 * 48 * 4);
    for (std::size_t size = 0; size < data.size(); size += 7) {
        const Result<> done = jpeg_decode(ByteView(data).first(size), pixels);
        if (size < 100) {
            EXPECT_FALSE(done) << size;
        }
    }
    EXPECT_EQ(jpeg_read_header(as_bytes("no picture")).error().code, ErrorCode::protocol);
    EXPECT_EQ(jpeg_decode(data, std::span(pixels).first(100)).error().code,
              ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace segue::spice::codec
