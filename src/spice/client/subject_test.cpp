// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/client/subject.h"

#include <gtest/gtest.h>

namespace segue::spice::client {
namespace {

TEST(SubjectTest, FieldsInOrderWithEscapes) {
    const SubjectFields fields = parse_subject("C=IL,L=Raanana, O=Red\\, Hat,CN=my server").value();
    ASSERT_EQ(fields.size(), 4u);
    EXPECT_EQ(fields[1], (std::pair<std::string, std::string>{"L", "Raanana"}));
    EXPECT_EQ(fields[2].second, "Red, Hat");
    EXPECT_EQ(fields[3].second, "my server");
}

TEST(SubjectTest, ValuesMayHoldEqualsSigns) {
    EXPECT_EQ(parse_subject("CN=a=b").value()[0].second, "a=b");
}

TEST(SubjectTest, BrokenOnesAreErrors) {
    for (const char* text : {"", "CN", "=x", "CN=a,,O=b"})
        EXPECT_FALSE(parse_subject(text)) << text;
}

}  // namespace
}  // namespace segue::spice::client
