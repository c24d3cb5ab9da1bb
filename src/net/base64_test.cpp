// SPDX-License-Identifier: LGPL-2.1-or-later
#include "net/base64.h"

#include <gtest/gtest.h>

namespace segue::net {
namespace {

// RFC 4648, section 10.
TEST(Base64, IsThatOfTheStandard) {
    EXPECT_EQ(base64(""), "");
    EXPECT_EQ(base64("f"), "Zg==");
    EXPECT_EQ(base64("fo"), "Zm8=");
    EXPECT_EQ(base64("foo"), "Zm9v");
    EXPECT_EQ(base64("foob"), "Zm9vYg==");
    EXPECT_EQ(base64("fooba"), "Zm9vYmE=");
    EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
}

TEST(Base64, KnowsEveryByteAndMakesOneLine) {
    EXPECT_EQ(base64(Bytes{0xfb, 0xff, 0x00}), "+/8A");
    EXPECT_EQ(base64(Bytes(300, 0xff)), std::string(400, '/'));
}

}  // namespace
}  // namespace segue::net
