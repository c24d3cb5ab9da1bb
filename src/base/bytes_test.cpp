// SPDX-License-Identifier: LGPL-2.1-or-later
#include "base/bytes.h"

#include <gtest/gtest.h>

namespace segue {
namespace {

TEST(Bytes, BothOrdersRoundTrip) {
    LittleWriter little;
    little.u16(0x1234);
    little.u64(0x0102030405060708);
    EXPECT_EQ(little.view(), (Bytes{0x34, 0x12, 8, 7, 6, 5, 4, 3, 2, 1}));
    LittleReader little_reader(little.view());
    EXPECT_EQ(little_reader.u16(), 0x1234);
    EXPECT_EQ(little_reader.u64(), 0x0102030405060708u);
    EXPECT_TRUE(little_reader.ok());

    BigWriter big;
    big.i32(-2);
    EXPECT_EQ(big.view(), (Bytes{0xff, 0xff, 0xff, 0xfe}));
    BigReader big_reader(big.view());
    EXPECT_EQ(big_reader.i32(), -2);
}

TEST(Bytes, ReadingBeyondTheEndSticks) {
    const Bytes bytes{1, 2, 3};
    LittleReader reader(bytes);
    EXPECT_EQ(reader.u32(), 0u);
    EXPECT_FALSE(reader.ok());
    EXPECT_EQ(reader.u8(), 0) << "no later read may succeed";
    EXPECT_EQ(reader.remaining(), 0u);
}

TEST(Bytes, AHugeLengthDoesNotOverflowTheCheck) {
    const Bytes bytes{1, 2, 3};
    BigReader reader(bytes);
    reader.u8();
    EXPECT_TRUE(reader.bytes(SIZE_MAX).empty());
    EXPECT_FALSE(reader.ok());
}

TEST(Bytes, PatchOverwritesInPlace) {
    BigWriter writer;
    writer.u32(0);
    writer.u8(7);
    writer.patch<std::uint32_t>(0, 5);
    EXPECT_EQ(writer.view(), (Bytes{0, 0, 0, 5, 7}));
}

}  // namespace
}  // namespace segue
