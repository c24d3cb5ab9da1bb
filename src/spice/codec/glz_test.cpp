// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/codec/glz.h"

#include <gtest/gtest.h>

#include "spice/codec/test_pictures.h"

namespace segue::spice::codec {
namespace {

using test::Picture;

constexpr std::size_t kWindow = 1 << 20;

Bytes kept(const Picture& picture, PixelFormat format) {
    Bytes bytes = picture.bytes;
    bytes.resize(row_size(format, picture.width) * picture.height);
    if (format == PixelFormat::bgrx32) {
        for (std::size_t i = 3; i < bytes.size(); i += 4)
            bytes[i] = 0;
    }
    return bytes;
}

Bytes encoded(GlzDictionary& dictionary, const PictureView& view) {
    Bytes out;
    const Result<> done = dictionary.encode(view, nullptr, out);
    EXPECT_TRUE(done) << done.error().message;
    return out;
}

Bytes pixels_of(const GlzDecoded& decoded) {
    const ByteView view = decoded.picture->pixels.view();
    return Bytes(view.begin(), view.end());
}

// A console whose lines scroll up by `lines`.
Picture scrolled(std::uint32_t lines) {
    const Picture whole = test::console(320, 400);
    Picture picture(320, 200);
    std::memcpy(picture.bytes.data(), whole.bytes.data() + lines * 320 * 4, picture.bytes.size());
    return picture;
}

TEST(Glz, ASeriesOfPicturesRoundTrips) {
    GlzDictionary dictionary(kWindow);
    GlzWindow window(kWindow);
    for (std::uint32_t lines = 0; lines < 200; lines += 16) {
        const Picture picture = scrolled(lines);
        const Bytes data = encoded(dictionary, picture.view());
        const auto decoded = window.decode(data);
        ASSERT_TRUE(decoded) << decoded.error().message;
        ASSERT_TRUE(decoded->picture);
        EXPECT_EQ(pixels_of(*decoded), kept(picture, PixelFormat::bgrx32));
        EXPECT_LE(window.kept_pixels(), kWindow);
    }
}

TEST(Glz, WhatWasSentBeforeIsNotSentAgain) {
    GlzDictionary dictionary(kWindow);
    GlzWindow window(kWindow);
    Picture picture = test::console(320, 200);
    const std::size_t whole = encoded(dictionary, picture.view()).size();
    picture.set(100, 90, 0x00ff00);
    EXPECT_LT(encoded(dictionary, picture.view()).size() * 10, whole);
}

// As often as the screen has scrolled, and also in columns: QEMU's own display cuts it up.
TEST(Glz, WhatHasScrolledIsOneMatch) {
    for (const std::uint32_t width : {320u, 32u}) {
        GlzDictionary dictionary(kWindow);
        GlzWindow window(kWindow);
        for (std::uint32_t lines = 0; lines < 192; lines += 16) {
            const Picture whole = scrolled(lines);
            std::size_t size = 0;
            for (std::uint32_t left = 0; left < 320; left += width) {
                PictureView part = whole.view();
                part.rows += std::size_t{left} * 4;
                part.width = width;
                const Bytes data = encoded(dictionary, part);
                const auto decoded = window.decode(data);
                ASSERT_TRUE(decoded && decoded->picture);
                for (std::uint32_t y = 0; y < part.height; ++y) {
                    ASSERT_EQ(std::memcmp(decoded->picture->pixels.data() + y * width * 4,
                                          part.row(y), width * 4),
                              0);
                }
                size += data.size() - kGlzHeaderSize;
            }
            // One line of text is new.
            if (lines > 0) {
                EXPECT_LT(size, 1400u) << lines << " lines, columns of " << width;
            }
        }
    }
}

TEST(Glz, EveryFormatRoundTripsAndARepeatCostsNothing) {
    const Picture pictures[] = {test::noise(70, 50, 0xffffffff),
                                test::desktop(300, 200),
                                test::plain(1, 1),
                                test::noise(2, 1),
                                test::noise(3, 3),
                                test::noise(5, 1),
                                test::photo(64, 64)};
    for (const Picture& picture : pictures) {
        for (const PixelFormat format : {PixelFormat::bgrx32, PixelFormat::bgra32}) {
            GlzDictionary dictionary(kWindow, 5);
            GlzWindow window(kWindow);
            for (int round = 0; round < 3; ++round) {
                const Bytes data = encoded(dictionary, picture.view(format));
                if (round > 0 && format == PixelFormat::bgrx32) {
                    EXPECT_LT(data.size(), 300u);
                }
                const auto decoded = window.decode(data);
                ASSERT_TRUE(decoded) << decoded.error().message;
                EXPECT_EQ(pixels_of(*decoded), kept(picture, format)) << picture.width;
                EXPECT_EQ(decoded->picture->header.id, 5u + static_cast<unsigned>(round));
            }
        }
    }
}

TEST(Glz, NarrowPixelsRoundTrip) {
    const Picture picture = test::console(200, 64);
    GlzDictionary dictionary(kWindow);
    GlzWindow window(kWindow);
    for (int round = 0; round < 2; ++round) {
        const auto sixteen = window.decode(encoded(dictionary, picture.view(PixelFormat::rgb16)));
        ASSERT_TRUE(sixteen);
        for (std::size_t i = 0; i < 200 * 64 * 2; ++i) {
            const int mask = i % 2 ? 0x7f : 0xff;
            ASSERT_EQ(sixteen->picture->pixels.data()[i] & mask, picture.bytes[i] & mask);
        }
        const auto narrow = window.decode(encoded(dictionary, picture.view(PixelFormat::bgr24)));
        ASSERT_TRUE(narrow);
        for (std::size_t i = 0; i < 200 * 64; ++i) {
            for (std::size_t part = 0; part < 3; ++part) {
                ASSERT_EQ(narrow->picture->pixels.data()[4 * i + part],
                          picture.bytes[3 * i + part]);
            }
        }
    }
}

TEST(Glz, TheWindowIsBoundedOnBothSides) {
    const std::size_t small = 5000;
    GlzDictionary dictionary(small);
    GlzWindow window(small);
    for (std::uint32_t i = 0; i < 40; ++i) {
        const Picture picture = test::noise(50, 20 + i, 0x070707);
        const auto decoded = window.decode(encoded(dictionary, picture.view()));
        ASSERT_TRUE(decoded) << decoded.error().message;
        EXPECT_LE(window.kept_pixels(), small + 50 * 60);
    }
    // A window that announces less than it demands.
    GlzDictionary greedy(kWindow);
    GlzWindow tight(1000);
    Result<GlzDecoded> last;
    for (int i = 0; i < 10 && last; ++i) {
        last = tight.decode(encoded(greedy, test::noise(20, 20).view()));
    }
    ASSERT_FALSE(last);
    EXPECT_EQ(last.error().code, ErrorCode::limit_exceeded);
}

TEST(Glz, PicturesOfTwoChannelsMayComeOutOfOrder) {
    GlzDictionary dictionary(kWindow);
    GlzWindow window(kWindow);
    const Picture picture = test::noise(40, 40);
    const Bytes first = encoded(dictionary, picture.view());
    const Bytes second = encoded(dictionary, picture.view());
    const auto early = window.decode(second);
    ASSERT_TRUE(early);
    EXPECT_FALSE(early->picture);
    EXPECT_EQ(early->waits_for, std::optional<std::uint64_t>(0));
    ASSERT_TRUE(window.decode(first)->picture);
    const auto late = window.decode(second);
    ASSERT_TRUE(late->picture);
    EXPECT_EQ(pixels_of(*late), kept(picture, PixelFormat::bgrx32));
    EXPECT_EQ(window.decode(second).error().message, "GLZ picture: its id was used before");
}

// More than the window finds without a search.
TEST(Glz, APictureOfLongAgoIsStillReferredTo) {
    GlzDictionary dictionary(kWindow);
    GlzWindow window(kWindow);
    const Picture old = test::noise(40, 40);
    ASSERT_TRUE(window.decode(encoded(dictionary, old.view())));
    for (std::uint32_t i = 0; i < 1100; ++i) {
        ASSERT_TRUE(window.decode(encoded(dictionary, test::plain(4 + i % 7, 4).view())));
    }
    const Bytes data = encoded(dictionary, old.view());
    EXPECT_LT(data.size(), 200u);
    const auto decoded = window.decode(data);
    ASSERT_TRUE(decoded && decoded->picture);
    EXPECT_EQ(pixels_of(*decoded), kept(old, PixelFormat::bgrx32));
}

TEST(Glz, AReleasedDictionaryStartsAfreshWithIdsGoingOn) {
    GlzDictionary dictionary(kWindow);
    GlzWindow window(kWindow);
    const Picture picture = test::noise(40, 40);
    ASSERT_TRUE(window.decode(encoded(dictionary, picture.view())));
    dictionary.release();
    const Bytes data = encoded(dictionary, picture.view());
    EXPECT_GT(data.size(), 4000u) << "nothing to refer to";
    const GlzHeader header = glz_read_header(data).value();
    EXPECT_EQ(header.id, 1u);
    EXPECT_EQ(header.head_distance, 0u);
    EXPECT_TRUE(window.decode(data)->picture);
    EXPECT_EQ(window.kept_pixels(), 1600u) << "the older picture is forgotten";
}

TEST(Glz, PixelsMayBeKeptByReference) {
    GlzDictionary dictionary(kWindow);
    GlzWindow window(kWindow);
    auto owner = std::make_shared<Picture>(test::noise(64, 64));
    const Bytes expected = kept(*owner, PixelFormat::bgrx32);
    Bytes out;
    ASSERT_TRUE(dictionary.encode(owner->view(), owner, out));
    EXPECT_EQ(owner.use_count(), 2);
    ASSERT_TRUE(window.decode(out));
    Bytes again;
    ASSERT_TRUE(dictionary.encode(owner->view(), owner, again));
    EXPECT_EQ(pixels_of(*window.decode(again)), expected);
    dictionary.release();
    EXPECT_EQ(owner.use_count(), 1);
}

TEST(Glz, EveryTruncationIsAnError) {
    GlzDictionary dictionary(kWindow);
    GlzWindow window(kWindow);
    const Picture picture = test::console(64, 48);
    ASSERT_TRUE(window.decode(encoded(dictionary, picture.view(PixelFormat::bgra32))));
    Picture changed = picture;
    changed.set(30, 20, 0xff123456);
    const Bytes data = encoded(dictionary, changed.view(PixelFormat::bgra32));
    for (std::size_t size = 0; size < data.size(); ++size) {
        const Bytes part(data.begin(), data.begin() + static_cast<std::ptrdiff_t>(size));
        EXPECT_FALSE(window.decode(part)) << size;
    }
    EXPECT_TRUE(window.decode(data));
}

TEST(Glz, AnotherServerGoesOnWhereTheFrozenOneStopped) {
    GlzDictionary here(kWindow);
    GlzWindow window(kWindow);
    const Picture picture = test::console(64, 48);
    for (int turn = 0; turn < 3; ++turn)
        ASSERT_TRUE(window.decode(encoded(here, picture.view())));
    here.set_frozen(true);
    Bytes refused;
    EXPECT_FALSE(here.encode(picture.view(), nullptr, refused));
    EXPECT_EQ(here.next_id(), 3u);

    GlzDictionary there(kWindow);
    there.continue_at(here.next_id());
    there.continue_at(1);  // of another channel, captured earlier
    EXPECT_EQ(there.next_id(), 3u);
    const auto decoded = window.decode(encoded(there, picture.view()));
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(decoded->picture->header.id, 3u);
}

TEST(Glz, TellsHowMuchOfAPictureItKnows) {
    GlzDictionary dictionary(kWindow);
    const Picture picture = test::photo(96, 64);
    EXPECT_EQ(dictionary.known_share(picture.view()), 0);
    encoded(dictionary, picture.view());
    EXPECT_GT(dictionary.known_share(picture.view()), 0.8);
    EXPECT_LT(dictionary.known_share(test::noise(96, 64).view()), 0.1);
    EXPECT_EQ(dictionary.known_share({}), 0);
    PictureView half = picture.view();
    half.width /= 2;
    EXPECT_GT(dictionary.known_share(half), 0.8);
    dictionary.set_frozen(true);
    EXPECT_EQ(dictionary.known_share(picture.view()), 0);
    dictionary.set_frozen(false);
    dictionary.release();
    EXPECT_EQ(dictionary.known_share(picture.view()), 0);
}

TEST(Glz, HostileReferencesAreRefused) {
    const auto picture = [](std::uint64_t id, std::uint32_t head, Bytes body) {
        BigWriter data;
        data.u32(0x20205a4c);
        data.u32(0x00010001);
        data.u8(8 | 16);
        data.u32(4);
        data.u32(4);
        data.u32(16);
        data.u64(id);
        data.u32(head);
        data.bytes(body);
        return data.take();
    };
    GlzWindow window(kWindow);
    Bytes literals = {15};
    literals.resize(1 + 16 * 3, 7);
    ASSERT_TRUE(window.decode(picture(100, 0, literals)));
    ASSERT_TRUE(window.decode(picture(101, 0, literals)));
    const auto message = [&](std::uint64_t id, std::uint32_t head, Bytes body) {
        const auto decoded = window.decode(picture(id, head, std::move(body)));
        return decoded ? std::string("waits or done") : decoded.error().message;
    };
    EXPECT_EQ(message(102, 1, {1 << 5, 0, 0}), "GLZ picture: a match starts before the picture");
    EXPECT_EQ(message(102, 1, {7 << 5, 10, 0, 1}),
              "GLZ picture: a match is longer than the picture");
    EXPECT_EQ(message(102, 1, {2 << 5 | 15, 0, 1}),
              "GLZ picture: a match reaches beyond the older picture");
    EXPECT_EQ(message(102, 1, {1 << 5 | 16, 0, 0x40 | 31, 1}),
              "GLZ picture: a match reaches beyond the older picture");
    EXPECT_EQ(message(102, 9, {1 << 5, 0, 2}),
              "GLZ picture: a match in a picture outside the window")
        << "100 was forgotten";
    EXPECT_EQ(message(110, 1, {1 << 5, 0, 3}),
              "GLZ picture: a match in a picture outside the window")
        << "beyond the announced head";
    EXPECT_EQ(message(102, 103, {}), "GLZ picture: its window starts before the first picture");
    EXPECT_EQ(message(110, 5, {1 << 5, 0, 3}), "waits or done");
}

}  // namespace
}  // namespace segue::spice::codec
