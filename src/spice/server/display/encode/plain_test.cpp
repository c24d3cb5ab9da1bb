// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/encode/plain.h"

#include <gtest/gtest.h>

#include <cstring>

namespace segue::spice::server {
namespace {

TEST(PlainTest, OneColourIsFoundAndAnyOtherPixelSeen) {
    for (const auto format : {canvas::Format::xrgb32, canvas::Format::rgb565}) {
        canvas::Image picture = canvas::Image::create(format, 20, 10).value();
        const std::size_t bytes = canvas::bits_per_pixel(format) / 8u;
        for (std::int32_t y = 0; y < 10; ++y)
            std::memset(picture.line(y), 0x21, picture.line_bytes());
        const canvas::Rect rect{3, 2, 17, 9};
        const std::uint32_t color = bytes == 4 ? 0x21212121 : 0x2121;
        EXPECT_EQ(plain_color(picture, rect), color);
        for (std::int32_t y = 0; y < 10; ++y) {
            for (std::int32_t x = 0; x < 20; ++x) {
                std::uint8_t& byte = picture.line(y)[static_cast<std::size_t>(x) * bytes + 1];
                byte = 0x22;
                const bool inside = x >= 3 && x < 17 && y >= 2 && y < 9;
                EXPECT_EQ(plain_color(picture, rect).has_value(), !inside) << x << "," << y;
                byte = 0x21;
            }
        }
        EXPECT_EQ(plain_color(picture, {4, 4, 5, 5}), color);
        EXPECT_FALSE(plain_color(picture, {4, 4, 4, 9}));
    }
}

TEST(PlainTest, WhatHasAlphaIsNotPlain) {
    const canvas::Image picture = canvas::Image::create(canvas::Format::argb32, 4, 4).value();
    EXPECT_FALSE(plain_color(picture, picture.bounds()));
}

}  // namespace
}  // namespace segue::spice::server
