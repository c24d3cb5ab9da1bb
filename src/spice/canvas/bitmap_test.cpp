// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/canvas/bitmap.h"

#include <gtest/gtest.h>

namespace segue::spice::canvas {
namespace {

std::uint32_t pixel(const Image& image, int x, int y) {
    return reinterpret_cast<const std::uint32_t*>(image.line(y))[x];
}

TEST(BitmapTest, PalettesOfEachDepth) {
    const std::vector<std::uint32_t> palette = {0x10, 0x11, 0x12, 0x13, 0x14, 0x15};
    const Bytes bits = {0b0000'0001, 0x21};
    Bitmap bitmap{.width = 2, .height = 1, .stride = 2, .palette = palette, .pixels = bits};
    bitmap.format = BitmapFormat::bit1_le;
    EXPECT_EQ(pixel(image_of(bitmap).value(), 0, 0), 0x11u);
    bitmap.format = BitmapFormat::bit1_be;
    EXPECT_EQ(pixel(image_of(bitmap).value(), 0, 0), 0x10u);
    bitmap.pixels = ByteView(bits).subspan(1);
    bitmap.stride = 1;
    bitmap.format = BitmapFormat::bit4_le;
    EXPECT_EQ(pixel(image_of(bitmap).value(), 0, 0), 0x11u);
    EXPECT_EQ(pixel(image_of(bitmap).value(), 1, 0), 0x12u);
    bitmap.format = BitmapFormat::bit4_be;
    EXPECT_EQ(pixel(image_of(bitmap).value(), 0, 0), 0x12u);
    bitmap.format = BitmapFormat::bit8;
    bitmap.width = 1;
    EXPECT_EQ(pixel(image_of(bitmap).value(), 0, 0), 0u) << "an index beyond the palette is black";
}

TEST(BitmapTest, BottomUpAndTwentyFourBits) {
    const Bytes bytes = {1, 2, 3, 0, 4, 5, 6, 0};
    const Bitmap bitmap{.format = BitmapFormat::rgb24,
                        .width = 1,
                        .height = 2,
                        .stride = 4,
                        .top_down = false,
                        .palette = {},
                        .pixels = bytes};
    const Image image = image_of(bitmap).value();
    EXPECT_EQ(pixel(image, 0, 0), 0x060504u);
    EXPECT_EQ(pixel(image, 0, 1), 0x030201u);
}

TEST(BitmapTest, ShortDataAndBadFormatsAreErrors) {
    const Bytes bytes(64);
    Bitmap bitmap{.width = 4, .height = 4, .stride = 16, .palette = {}, .pixels = bytes};
    EXPECT_TRUE(image_of(bitmap));
    bitmap.stride = 15;
    EXPECT_FALSE(image_of(bitmap));
    bitmap.stride = 17;
    EXPECT_FALSE(image_of(bitmap));
    bitmap.stride = 0xffffffff;
    bitmap.height = 0xffffffff;
    EXPECT_FALSE(image_of(bitmap));
    bitmap = {.width = 0, .height = 0, .stride = 0, .palette = {}, .pixels = bytes};
    EXPECT_FALSE(image_of(bitmap));
    bitmap = {.format = static_cast<BitmapFormat>(77), .palette = {}, .pixels = bytes};
    EXPECT_FALSE(image_of(bitmap));
}

TEST(BitmapTest, MasksOfBothBitOrders) {
    const Bytes bits = {0b0000'0011};
    Bitmap bitmap{.format = BitmapFormat::bit1_le,
                  .width = 8,
                  .height = 1,
                  .stride = 1,
                  .palette = {},
                  .pixels = bits};
    EXPECT_EQ(mask_of(bitmap).value().line(0)[0], 0b0000'0011);
    bitmap.format = BitmapFormat::bit1_be;
    EXPECT_EQ(mask_of(bitmap).value().line(0)[0], 0b1100'0000);
    bitmap.format = BitmapFormat::bit8;
    EXPECT_FALSE(mask_of(bitmap));
}

}  // namespace
}  // namespace segue::spice::canvas
