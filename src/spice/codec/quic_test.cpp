// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/codec/quic.h"

#include <gtest/gtest.h>

#include "spice/codec/test_pictures.h"

namespace segue::spice::codec {
namespace {

using test::Picture;

Bytes encoded(const PictureView& view) {
    QuicEncoder encoder;
    Bytes out;
    const Result<> done = encoder.encode(view, out);
    EXPECT_TRUE(done) << done.error().message;
    return out;
}

Result<Bytes> decoded(ByteView data) {
    const QuicHeader header = TRY(quic_read_header(data));
    Bytes pixels(header.pixel_bytes(), 0xee);
    const Result<> done = quic_decode(data, pixels);
    if (!done) return tl::unexpected(done.error());
    return pixels;
}

// What a decoder must give back.
Bytes kept(const Picture& picture, PixelFormat format) {
    Bytes bytes = picture.bytes;
    bytes.resize(row_size(format, picture.width) * picture.height);
    if (format == PixelFormat::bgr24) {
        Bytes wide;
        for (std::size_t i = 0; i < bytes.size(); i += 3) {
            wide.insert(wide.end(), {bytes[i], bytes[i + 1], bytes[i + 2], 0});
        }
        return wide;
    }
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        if (format == PixelFormat::bgrx32 && i % 4 == 3) bytes[i] = 0;
        if (format == PixelFormat::rgb16 && i % 2 == 1) bytes[i] &= 0x7f;
    }
    return bytes;
}

TEST(Quic, EveryFormatAndPictureRoundTrips) {
    const Picture pictures[] = {test::console(320, 100), test::desktop(400, 150),
                                test::photo(200, 150),   test::noise(97, 53, 0xffffffff),
                                test::plain(2500, 3),    test::plain(1, 1),
                                test::noise(1, 7),       test::noise(3, 1),
                                test::noise(4097, 2, 3), test::plain(70, 900)};
    for (const Picture& picture : pictures) {
        for (const PixelFormat format :
             {PixelFormat::bgrx32, PixelFormat::bgra32, PixelFormat::rgb16, PixelFormat::bgr24,
              PixelFormat::alpha8}) {
            const Result<Bytes> pixels = decoded(encoded(picture.view(format)));
            ASSERT_TRUE(pixels) << pixels.error().message;
            EXPECT_EQ(*pixels, kept(picture, format))
                << picture.width << " x " << picture.height << " format " << int(format);
        }
    }
}

TEST(Quic, RowsMayBeUpsideDownAndOneEncoderServesMany) {
    QuicEncoder encoder;
    const Picture picture = test::desktop(128, 64);
    PictureView flipped = picture.view();
    flipped.rows = picture.bytes.data() + 63 * 512;
    flipped.stride = -512;
    for (int round = 0; round < 3; ++round) {
        Bytes out;
        ASSERT_TRUE(encoder.encode(flipped, out));
        const Bytes pixels = decoded(out).value();
        for (std::size_t y = 0; y < 64; ++y) {
            ASSERT_EQ(std::memcmp(&pixels[y * 512], &picture.bytes[(63 - y) * 512], 512), 0);
        }
        Bytes other;
        ASSERT_TRUE(encoder.encode(test::noise(300, 20).view(), other));
        EXPECT_EQ(decoded(other).value(), kept(test::noise(300, 20), PixelFormat::bgrx32));
    }
}

TEST(Quic, TruncationIsAnErrorAtEveryLength) {
    for (const PixelFormat format : {PixelFormat::bgra32, PixelFormat::rgb16}) {
        const Bytes data = encoded(test::photo(24, 18).view(format));
        // The last word is only there to be read ahead, the one before it may be padding in part.
        for (std::size_t size = 0; size + 8 <= data.size(); ++size) {
            EXPECT_FALSE(decoded(ByteView(data).first(size))) << size << " of " << data.size();
        }
    }
}

// As long as the server likes, and of any content: also behind a picture that fills its bound best.
TEST(Quic, WhatComesBehindThePictureChangesNothing) {
    for (const PixelFormat format : {PixelFormat::bgra32, PixelFormat::rgb16}) {
        for (const std::uint32_t side : {1u, 3u, 24u}) {
            const Bytes data = encoded(test::noise(side, side).view(format));
            Bytes longer = data;
            longer.resize(data.size() + (1u << 16), 0xa5);
            const auto plain = decoded(data), padded = decoded(longer);
            ASSERT_TRUE(plain);
            ASSERT_TRUE(padded);
            EXPECT_EQ(*plain, *padded);
        }
    }
}

TEST(Quic, LyingHeadersAreRefused) {
    const Bytes data = encoded(test::plain(64, 64).view());
    const auto changed = [&](std::size_t at, std::uint8_t value) {
        Bytes copy = data;
        copy[at] = value;
        return decoded(copy);
    };
    EXPECT_EQ(changed(0, 1).error().message, "QUIC picture: wrong magic or version");
    EXPECT_EQ(changed(4, 1).error().message, "QUIC picture: wrong magic or version");
    EXPECT_EQ(changed(8, 6).error().message, "QUIC picture: unknown type");
    EXPECT_EQ(changed(14, 1).error().code, ErrorCode::limit_exceeded);
    EXPECT_FALSE(changed(12, 60)) << "a run of 64 in a row of 60";
    Bytes small(100);
    EXPECT_EQ(quic_decode(data, small).error().code, ErrorCode::invalid_argument);
    QuicEncoder encoder;
    Bytes out;
    EXPECT_EQ(encoder.encode(test::plain(8, 8).view(PixelFormat::eight_bit), out).error().code,
              ErrorCode::invalid_argument);
}

// A 24 x 8 pattern, and what spice-common of spice-server 0.15.1 makes of it, behind the header.
PictureView golden_picture(int type, Bytes& rows) {
    const PixelFormat format =
        std::array{PixelFormat::rgb16, PixelFormat::bgr24, PixelFormat::bgrx32,
                   PixelFormat::bgra32}[static_cast<std::size_t>(type - 2)];
    const unsigned bytes = bits_per_pixel(format) / 8;
    const unsigned stride = 24 * bytes;
    rows.resize(stride * 8);
    for (unsigned y = 0; y < 8; ++y) {
        for (unsigned x = 0; x < stride; ++x) {
            const unsigned pixel = x / bytes;
            unsigned value = pixel * (3 + x % bytes) + y * 5 + (pixel % 7 == 3 ? 90 : 0);
            if (y == 2 || y == 5) value = 0x21;
            if (y == 6) value = pixel < 12 ? 7 : pixel * pixel;
            if (type == 2 && x % 2 == 1) value &= 0x7f;
            if (type == 4 && x % 4 == 3) value = 0;
            rows[y * stride + x] = static_cast<std::uint8_t>(value);
        }
    }
    return {format, 24, 8, rows.data(), static_cast<std::ptrdiff_t>(stride), true};
}

struct Golden {
    int type;
    const char* body;
};
const Golden kGolden[] = {
    {2,
     "65602084000050b04a4599269d76941680826ba75261a60776da69870005a79da5a24c0fedb4d30e"
     "438843bb0063636cf47948466c824db0449b601392790075636c8465d8181b63cf4cb2c346da08ab"
     "d808fbd11dbfd2c0002049b12c9fd20e7eccc64eab40245b58cf9db8f7788d95007e818379164fc2"
     "551665011202d2f301212548b958e353d052fc10812940163884e6c302ca00040e30061440791b60"
     "5a20e1110021bc006c042142c3f8b006284806e03e7c0af5e3c3f8309c648f0f87d1616f54181d46"
     "35f64f61181ff6c687f1617c251c1fc670b48b569718965cc75fdc88eeb833defe813f6738259c0a"
     "e205f15a77b8e1de43c77fe31e0387804173d70e907e076d11e90574e7254099ef8a6a9ccc4e8e33"
     "0997350fea4ae7e007ed56d2a557bcb3881161e74065810c4000401c7b5e8d480447c6387ea15106"
     "06489718074018034d084a2c00000000"},
    {3,
     "0080808051311020c003c01002008003d8b292a2a86888a82352698851d5445580073e30b6aca4e8"
     "aa1a222aaa89aa2698a86aa274c0031f155b565213550d1151d54455634c54352aa2aa1a0a5000ab"
     "fdfc2c018aa8a818b1aaa2aac05a63ad48800214aac6bcbcadb1d6a8b5c65a63000528808d797991"
     "63ad51558db5c65a0303036b5213131365c592528559b424350d74317e80010b5e88019ffcd97605"
     "1e9df37756df53f9f368f6ff7d11420c3b285fedfcf30bfb1f13baafa77f4d69791c8dc700b7c635"
     "000013009407400db4ecf655bd4d4a090dd2126f5c4007b8efdf1400ba2d821fafd2e32611f92e3f"
     "001c20925d6200a0f64b10fbc72d84a320026e81f76046d76ba5526905b0d6584f12a0005595312f"
     "ac35d61ab0d6586b12a0000595312f4f35d61a55d6586baca00005b0312f2f12ac35aaaab1d6586b"
     "9aa661ad6ca9aaa266020000c5b0ace0e90f2c5c94df5e8f7dbdfe732e958119bc0eb5e74fdff3f2"
     "83fe767f272108c7cef9a5bfaa5af7a3afb0d50e6c9ef215b3d9bda59ecd66671cf4e779180cc000"
     "f123468c0f1efcf89f0f3f2f91a8a8a8859b91916cb0e2c29000211b989b9b9b787c58582d269bf1"
     "0409339a9a3aca0120375ddff389e478840752a270434fe2c640191c928bd5ccd53b4dffbef61963"
     "1a0dbf850ce0e3cdfac1ad9b3ad798546b9aea5d9253d81b000000d000000000"},
    {4,
     "0080808051311020c003c01002008003d8b292a2a86888a82352698851d5445580073e30b6aca4e8"
     "aa1a222aaa89aa2698a86aa274c0031f155b565213550d1151d54455634c54352aa2aa1a0a5000ab"
     "fdfc2c018aa8a818b1aaa2aac05a63ad48800214aac6bcbcadb1d6a8b5c65a63000528808d797991"
     "63ad51558db5c65a0303036b5213131365c592528559b424350d74317e80010b5e88019ffcd97605"
     "1e9df37756df53f9f368f6ff7d11420c3b285fedfcf30bfb1f13baafa77f4d69791c8dc700b7c635"
     "000013009407400db4ecf655bd4d4a090dd2126f5c4007b8efdf1400ba2d821fafd2e32611f92e3f"
     "001c20925d6200a0f64b10fbc72d84a320026e81f76046d76ba5526905b0d6584f12a0005595312f"
     "ac35d61ab0d6586b12a0000595312f4f35d61a55d6586baca00005b0312f2f12ac35aaaab1d6586b"
     "9aa661ad6ca9aaa266020000c5b0ace0e90f2c5c94df5e8f7dbdfe732e958119bc0eb5e74fdff3f2"
     "83fe767f272108c7cef9a5bfaa5af7a3afb0d50e6c9ef215b3d9bda59ecd66671cf4e779180cc000"
     "f123468c0f1efcf89f0f3f2f91a8a8a8859b91916cb0e2c29000211b989b9b9b787c58582d269bf1"
     "0409339a9a3aca0120375ddff389e478840752a270434fe2c640191c928bd5ccd53b4dffbef61963"
     "1a0dbf850ce0e3cdfac1ad9b3ad798546b9aea5d9253d81b000000d000000000"},
    {5,
     "0080808051311020c003c01002008003d8b292a2a86888a82352698851d5445580073e30b6aca4e8"
     "aa1a222aaa89aa2698a86aa274c0031f155b565213550d1151d54455004d543500c0180064643c81"
     "010196c996c9643cf1040458c3b22c931155d51880025855e76709504445c5e855155555d61a6b8d"
     "0214a00035e6e5458db5465535d61a6b284001accccb8b046b8daa6aac35d61a9655586bcbd86c01"
     "b100e72c38e79c6de76c8b058181c139a9898989b2624929c22c5a929a06ba983fc080852fc4804f"
     "fe6cbb028fcef93babefa97c7934fb7fbe0821861d94aff6fef985fd8f09dd57d3bfa6b417484b8c"
     "d40f03c956951cf930d2bbc5a7e679026e3b1162c9e3683c00b835ae00009800a23c006aa065b7af"
     "eb6d524a6d909678e0023ac078ffa600d16d11fc79951e378cc877f905e00091ef120300b55f82d8"
     "3c6e211c0611700bbb0733ba00009623e3d2661512808ae44212e28f30c6a072d8a800002afdf0e4"
     "1a6bad5414a000d6e6e549025aa3aa326b8db5c6a000d61ae5490214a3aa32e68db5c65a00d61a6b"
     "450214a05535e6e56b8db546ac35d61ab200e74a9c73ce6c39b3c902260b70cec639e7ccaa8a6a9a"
     "0000b0a5b2829b09b07015c37b3da63ffacf517e0666f4f5d49ebb54cfcbf33adbfd3d7d201c0ffa"
     "97fe9e84dd8f3ae7563ba86aca57bcc2f796b2790d00896a437bfd93cfcf8f9c13b554f44b1beb8a"
     "36dbab7bb3d9ec6c83fe3ccf830118807ec48811c1831f3ff3e1e7e5121515f5703332320d565cb8"
     "12206483737373133b0b0b0b8383fe3cfd3cf81156dc8c44f1616e42986cc6e324cc68b6ea280710"
     "dc747d6b2792e3811e4889ce0d3d8913036570c02e56331bef34fd4bda678c5534fc16fa808f376b"
     "07b76e325c6352e969aa77e94e616fac6e345e4b63a04f14366c696617c53ac51c7629744c2d964a"
     "0000004000000000"},
};

std::string hex(ByteView bytes) {
    std::string text;
    for (const std::uint8_t byte : bytes) {
        text += "0123456789abcdef"[byte >> 4];
        text += "0123456789abcdef"[byte & 15];
    }
    return text;
}

TEST(Quic, TheStreamIsTheStockEncodersBitForBit) {
    for (const Golden& golden : kGolden) {
        Bytes rows;
        const PictureView view = golden_picture(golden.type, rows);
        const Bytes data = encoded(view);
        EXPECT_EQ(hex(ByteView(data).subspan(20)), golden.body) << golden.type;
        EXPECT_TRUE(decoded(data));
    }
}

}  // namespace
}  // namespace segue::spice::codec
