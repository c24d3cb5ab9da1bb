// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/codec/lz.h"

#include <gtest/gtest.h>

#include <string>

#include "spice/codec/test_pictures.h"

namespace segue::spice::codec {
namespace {

using test::Picture;

// What a decoder must give back: the bytes without those the format drops.
Bytes kept(const Picture& picture, PixelFormat format) {
    Bytes bytes = picture.bytes;
    bytes.resize(row_size(format, picture.width) * picture.height);
    if (format == PixelFormat::bgrx32) {
        for (std::size_t i = 3; i < bytes.size(); i += 4)
            bytes[i] = 0;
    }
    return bytes;
}

Bytes encoded(const PictureView& view) {
    LzEncoder encoder;
    Bytes out;
    const Result<> done = encoder.encode(view, out);
    EXPECT_TRUE(done) << done.error().message;
    return out;
}

Result<Bytes> decoded(ByteView data) {
    const LzHeader header = TRY(lz_read_header(data));
    Bytes pixels(header.pixel_bytes(), 0xee);
    const Result<> done = lz_decode(data, pixels);
    if (!done) return tl::unexpected(done.error());
    return pixels;
}

const PixelFormat kFormats[] = {PixelFormat::one_bit_le,  PixelFormat::one_bit_be,
                                PixelFormat::four_bit_le, PixelFormat::four_bit_be,
                                PixelFormat::eight_bit,   PixelFormat::bgrx32,
                                PixelFormat::bgra32,      PixelFormat::alpha8};

TEST(Lz, EveryFormatAndPictureRoundTrips) {
    const Picture pictures[] = {test::console(320, 100),
                                test::desktop(400, 300),
                                test::photo(200, 150),
                                test::noise(97, 53),
                                test::noise(300, 300, 3),
                                test::plain(640, 480),
                                test::plain(1, 1),
                                test::noise(1, 7),
                                test::noise(3, 1),
                                test::plain(2, 1),
                                test::noise(70, 70, 0xffffffff)};
    for (const Picture& picture : pictures) {
        for (const PixelFormat format : kFormats) {
            const Result<Bytes> pixels = decoded(encoded(picture.view(format)));
            ASSERT_TRUE(pixels) << pixels.error().message;
            EXPECT_EQ(*pixels, kept(picture, format))
                << picture.width << " x " << picture.height << " format " << int(format);
        }
    }
}

TEST(Lz, SixteenBitPixelsLoseOnlyTheirTopBit) {
    const Picture picture = test::console(320, 100);
    const Result<Bytes> pixels = decoded(encoded(picture.view(PixelFormat::rgb16)));
    ASSERT_TRUE(pixels);
    for (std::size_t i = 0; i < pixels->size(); ++i) {
        const int mask = i % 2 ? 0x7f : 0xff;
        ASSERT_EQ((*pixels)[i] & mask, picture.bytes[i] & mask);
    }
}

TEST(Lz, RowsMayBePaddedOrUpsideDown) {
    const Picture picture = test::desktop(128, 64);
    PictureView half = picture.view();
    half.width = 50;
    const Bytes straight = decoded(encoded(half)).value();
    for (std::uint32_t y = 0; y < 64; ++y) {
        for (std::uint32_t x = 0; x < 200; ++x) {
            ASSERT_EQ(straight[y * 200 + x], x % 4 == 3 ? 0 : picture.bytes[y * 512 + x]);
        }
    }
    PictureView flipped = picture.view();
    flipped.rows = picture.bytes.data() + 63 * 512;
    flipped.stride = -512;
    flipped.top_down = false;
    const Bytes data = encoded(flipped);
    EXPECT_FALSE(lz_read_header(data)->top_down);
    const Bytes pixels = decoded(data).value();
    for (std::uint32_t y = 0; y < 64; ++y) {
        EXPECT_EQ(std::memcmp(pixels.data() + y * 512, picture.bytes.data() + (63 - y) * 512, 512),
                  0);
    }
}

TEST(Lz, OneEncoderForManyPicturesNeverMixesThem) {
    LzEncoder encoder;
    const Picture pictures[] = {test::console(32, 400), test::noise(40, 40, 0x0f0f0f),
                                test::desktop(200, 200)};
    for (int round = 0; round < 50; ++round) {
        const Picture& picture = pictures[round % 3];
        Bytes out;
        ASSERT_TRUE(encoder.encode(picture.view(), out));
        ASSERT_EQ(decoded(out).value(), kept(picture, PixelFormat::bgrx32)) << round;
    }
}

TEST(Lz, TheAlphaPlaneAloneLeavesTheColours) {
    Picture picture = test::noise(60, 40, 0xffffffff);
    LzEncoder encoder;
    Bytes out;
    ASSERT_TRUE(encoder.encode_alpha(picture.view(PixelFormat::bgra32), out));
    Bytes pixels(picture.bytes.size(), 0x77);
    ASSERT_TRUE(lz_decode(out, pixels));
    for (std::size_t i = 0; i < pixels.size(); ++i) {
        ASSERT_EQ(pixels[i], i % 4 == 3 ? picture.bytes[i] : 0x77);
    }
}

TEST(Lz, EveryTruncationIsAnError) {
    for (const PixelFormat format :
         {PixelFormat::bgra32, PixelFormat::rgb16, PixelFormat::eight_bit}) {
        const Bytes data = encoded(test::console(64, 48).view(format));
        for (std::size_t size = 0; size < data.size(); ++size) {
            const Bytes part(data.begin(), data.begin() + static_cast<std::ptrdiff_t>(size));
            EXPECT_FALSE(decoded(part)) << size;
        }
    }
}

TEST(Lz, LyingHeadersAndMatchesAreRefused) {
    const Bytes data = encoded(test::plain(16, 16).view());
    const auto changed = [&](std::size_t at, std::uint8_t value) {
        Bytes copy = data;
        copy[at] = value;
        return decoded(copy);
    };
    EXPECT_EQ(changed(0, 1).error().message, "LZ picture: wrong magic or version");
    EXPECT_EQ(changed(11, 12).error().message, "LZ picture: unknown type");
    EXPECT_EQ(changed(12, 1).error().code, ErrorCode::limit_exceeded);
    EXPECT_EQ(changed(15, 17).error().message, "LZ picture: its stride is not that of its width");
    EXPECT_EQ(changed(19, 15).error().message, "LZ picture: a match is longer than the picture");
    EXPECT_EQ(changed(28, 0x20).error().message, "LZ picture: a match starts before the picture");
    Bytes small(16 * 16 * 4 - 1);
    EXPECT_EQ(lz_decode(data, small).error().code, ErrorCode::invalid_argument);
}

TEST(Lz, PicturesBeyondTheBoundsAreNotEncoded) {
    LzEncoder encoder;
    Bytes out;
    PictureView view;
    view.width = 16385;
    view.height = 1;
    EXPECT_EQ(encoder.encode(view, out).error().code, ErrorCode::limit_exceeded);
    view.width = 0;
    EXPECT_FALSE(encoder.encode(view, out));
    EXPECT_TRUE(out.empty());
}

// The body that spice-common of spice-server 0.15.1 makes of a 24 x 6 pattern, for each type.
struct Golden {
    int type;
    const char* body;
};
const Golden kGolden[] = {
    {1, "0200081040020a050a11111100050a001e76"},
    {2, "0200081040020a050a11111100050a001e76"},
    {3,
     "0b000810182028303840485058e0040b07050a0f14191e232820080011e00200200ee000170b001e"
     "7608d4da1a9448365ec0"},
    {4,
     "0b000810182028303840485058e0040b07050a0f14191e232820080011e00200200ee000170b001e"
     "7608d4da1a9448365ec0"},
    {5,
     "170008101820283038404850586068707880889098a0a8b0b8e0101707050a0f14191e2328e00608"
     "0011e00e00e00626e0003817001e7608d4da1a9448365ec05c32428c10cec6f8640aea04"},
    {6,
     "1701000a0913121c1b25242e2d3736403f494852515b5a64636d6c76757f7e088711901a9923a22c"
     "ab35b43ebd47c650cfe010170805000f0a1914231e00280a05140f1e192823e00708001111e00f00"
     "e00726e00138171e0008765ad4141a3648405e325c0c424e1078c60a6404ea665830ae62ec7c127e"
     "2068163af474ba166820fe127c6ce2"},
    {7,
     "170001020a0b0c1415161e1f2028292a3233343c3d3e4647485051525a5b5c6465666e6f7078797a"
     "8283848c8d8e969798a0a1a2aaabacb4b5b6bebfc0c8c9cad2d3d4dcdddee6e7e8e011170200050a"
     "0f14191e2328e00e0200111111e01000e00e2c601417001e7608d4da1a9448365ec05c32428c10ce"
     "c6f8640aea0458e6aeb0ec6212fc207e16e8f43aba746896fea07c92e26c302e66d8846a8ae47846"
     "4e900cc2b2dc40deb6c8149a5a54"},
    {8,
     "170001020b0c0d1617182122232c2d2e3738394243444d4e4f58595a6364656e6f70797a7b848586"
     "8f90919a9b9ca5a6a7b0b1b2bbbcbdc6c7c8d1d2d3dcdddee7e8e9f2f3f4fdfeffe011170800050a"
     "14191e2800050f14192328000a0f141e2328050a0f191e23e0080800111111e01000e00826e00238"
     "17001e76d4da1a48365e5c324210cec6640aea58e6aeec6212207e16f43aba6896fe7c92e2302e66"
     "846a8a78464e0cc2b240deb6149a5a88f69e9cf282508e06a4ca2a98a6ee2c2252"},
    {9,
     "170001020b0c0d1617182122232c2d2e3738394243444d4e4f58595a6364656e6f70797a7b848586"
     "8f90919a9b9ca5a6a7b0b1b2bbbcbdc6c7c8d1d2d3dcdddee7e8e9f2f3f4fdfeffe011170800050a"
     "14191e2800050f14192328000a0f141e2328050a0f191e23e0080800111111e01000e00826e00238"
     "17001e76d4da1a48365e5c324210cec6640aea58e6aeec6212207e16f43aba6896fe7c92e2302e66"
     "846a8a78464e0cc2b240deb6149a5a88f69e9cf282508e06a4ca2a98a6ee2c225217030e19242f3a"
     "45505b66717c87929da8b3bec9d4dfeaf500e00f17080f230a1e0519001428e006080011e00e00e0"
     "0626e00038170894c08cf804b0fce874a06cd8e490dcc854804cb8c470bc"},
    {10,
     "17030e19242f3a45505b66717c87929da8b3bec9d4dfeaf500e00f17080f230a1e0519001428e006"
     "080011e00e00e00626e00038170894c08cf804b0fce874a06cd8e490dcc854804cb8c470bc"},
    {11,
     "170008101820283038404850586068707880889098a0a8b0b8e0101707050a0f14191e2328e00608"
     "0011e00e00e00626e0003817001e7608d4da1a9448365ec05c32428c10cec6f8640aea04"},
};

Bytes golden_rows(int type) {
    const unsigned bits = std::array<unsigned, 12>{
        0, 1, 1, 4, 4, 8, 16, 24, 32, 32, 32, 8}[static_cast<std::size_t>(type)];
    const unsigned stride = 24 * bits / 8;
    Bytes rows(stride * 6);
    for (unsigned y = 0; y < 6; ++y) {
        for (unsigned x = 0; x < stride; ++x) {
            unsigned value = 5 * (x % 9);
            if (y < 2) value = 7 * (x / (bits >= 8 ? bits / 8 : 1)) + x;
            if (y == 3) value = 0x11;
            if (y == 5) value = 29 * x * x + x;
            rows[y * stride + x] = static_cast<std::uint8_t>(value);
        }
    }
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (type == 6 && i % 2 == 1) rows[i] &= 0x7f;
        if (type == 8 && i % 4 == 3) rows[i] = 0;
    }
    return rows;
}

Bytes from_hex(std::string_view hex) {
    Bytes bytes;
    const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
        bytes.push_back(static_cast<std::uint8_t>(digit(hex[i]) << 4 | digit(hex[i + 1])));
    }
    return bytes;
}

TEST(Lz, WhatTheStockEncoderWroteIsRead) {
    for (const Golden& golden : kGolden) {
        const Bytes rows = golden_rows(golden.type);
        BigWriter data;
        for (std::uint32_t word : {0x20205a4cu, 0x00010001u, std::uint32_t(golden.type), 24u, 6u,
                                   std::uint32_t(rows.size() / 6), 1u}) {
            data.u32(word);
        }
        data.bytes(from_hex(golden.body));
        Bytes expected = rows;
        if (golden.type == 7) {
            expected.clear();
            for (std::size_t i = 0; i < rows.size(); i += 3) {
                expected.insert(expected.end(), {rows[i], rows[i + 1], rows[i + 2], 0});
            }
        }
        Bytes pixels(expected.size());
        if (golden.type == 10) pixels = expected;  // only the alpha is in the stream
        for (std::size_t i = 3; golden.type == 10 && i < pixels.size(); i += 4)
            pixels[i] = 0;
        const Result<> done = lz_decode(data.view(), pixels);
        ASSERT_TRUE(done) << golden.type << ": " << done.error().message;
        EXPECT_EQ(pixels, expected) << golden.type;
    }
}

}  // namespace
}  // namespace segue::spice::codec
