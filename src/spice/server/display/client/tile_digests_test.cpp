// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/client/tile_digests.h"

#include <gtest/gtest.h>

namespace segue::spice::server {
namespace {

constexpr std::int32_t kWidth = 200, kHeight = 130;  // 4 by 3 tiles, the last ones narrow

canvas::Image picture(canvas::Format format = canvas::Format::xrgb32) {
    canvas::Image image = std::move(canvas::Image::create(format, kWidth, kHeight).value());
    std::uint32_t seed = 1;
    for (std::int32_t y = 0; y < kHeight; ++y) {
        for (std::size_t at = 0; at < image.line_bytes(); ++at) {
            seed = seed * 1103515245 + 12345;
            image.line(y)[at] = static_cast<std::uint8_t>(seed >> 16);
        }
    }
    return image;
}

canvas::Region all() {
    return canvas::Region(canvas::Rect{0, 0, kWidth, kHeight});
}

TEST(TileDigests, ThePictureThatTheClientHasIsNotSentAgain) {
    const canvas::Image image = picture();
    const TileDigests digests = TileDigests::of(image, {});
    EXPECT_EQ(digests.values().size(), 12u);
    canvas::Region stale = all();
    digests.spare(image, stale);
    EXPECT_TRUE(stale.empty());
    // The unused byte of a pixel may be anything.
    canvas::Image other = std::move(image.copy().value());
    other.line(5)[4 * 7 + 3] ^= 0xff;
    stale = all();
    digests.spare(other, stale);
    EXPECT_TRUE(stale.empty());
}

TEST(TileDigests, OneOtherPixelIsOneTile) {
    const canvas::Image image = picture();
    const TileDigests digests = TileDigests::of(image, {});
    for (const auto& [x, y] : {std::pair{0, 0}, {63, 63}, {64, 64}, {199, 129}, {192, 0}}) {
        canvas::Image other = std::move(image.copy().value());
        other.line(y)[4 * x] ^= 1;
        canvas::Region stale = all();
        digests.spare(other, stale);
        const canvas::Rect tile{x / 64 * 64, y / 64 * 64, std::min(x / 64 * 64 + 64, kWidth),
                                std::min(y / 64 * 64 + 64, kHeight)};
        EXPECT_EQ(stale, canvas::Region(tile)) << x << ", " << y;
    }
}

TEST(TileDigests, WhatWasNotKnownIsSent) {
    const canvas::Image image = picture();
    const TileDigests digests =
        TileDigests::of(image, canvas::Region(canvas::Rect{63, 10, 65, 11}));  // two tiles
    canvas::Region stale = all();
    digests.spare(image, stale);
    EXPECT_EQ(stale, canvas::Region(canvas::Rect{0, 0, 128, 64}));
}

TEST(TileDigests, NumbersOfAnotherSizeAreNotBelieved) {
    const canvas::Image image = picture(canvas::Format::rgb565);
    const TileDigests digests = TileDigests::of(image, {});
    EXPECT_EQ(TileDigests::from(kWidth, kHeight, digests.values()), digests);
    EXPECT_TRUE(TileDigests::from(kWidth, kHeight + 100, digests.values()).empty());
    EXPECT_TRUE(TileDigests::from(0, kHeight, {}).empty());
    const TileDigests other = TileDigests::from(kWidth + 1, kHeight, digests.values());
    canvas::Region stale = all();
    other.spare(image, stale);
    EXPECT_EQ(stale, all());
    EXPECT_TRUE(TileDigests::of(picture(canvas::Format::a8), {}).empty());
}

}  // namespace
}  // namespace segue::spice::server
