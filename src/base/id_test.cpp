// SPDX-License-Identifier: LGPL-2.1-or-later
#include "base/id.h"

#include <gtest/gtest.h>

namespace segue {
namespace {

TEST(Uuid, TextRoundTrip) {
    const auto uuid = Uuid::parse("C7A5FDBD-EDAF-9455-926A-D65C16DB1809");
    ASSERT_TRUE(uuid);
    EXPECT_EQ(uuid->text(), "c7a5fdbd-edaf-9455-926a-d65c16db1809");
    EXPECT_EQ(Uuid::parse("c7a5fdbdedaf9455926ad65c16db1809"), *uuid);
}

TEST(Uuid, RefusesWhatIsNone) {
    for (const char* text : {"", "c7a5fdbd", "c7a5fdbd-edaf-9455-926a-d65c16db180g",
                             "c7a5fdbd-edaf-9455-926a-d65c16db180900"}) {
        EXPECT_EQ(Uuid::parse(text).error().code, ErrorCode::invalid_argument) << text;
    }
}

TEST(Uuid, RandomIsVersionFour) {
    SeededRandom random(7);
    const std::string text = Uuid::random(random).text();
    EXPECT_EQ(text[14], '4');
    EXPECT_NE(std::string("89ab").find(text[19]), std::string::npos);
}

}  // namespace
}  // namespace segue
