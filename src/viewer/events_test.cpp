// SPDX-License-Identifier: LGPL-2.1-or-later
#include "viewer/events.h"

#include <gtest/gtest.h>

namespace segue::viewer {
namespace {

TEST(EventTextTest, ACharacterThatHasComeHalfIsWaitedFor) {
    const std::string text = "a\u00e4\u20ac\U0001f600";
    std::string said, rest;
    for (const char byte : text) {
        rest += byte;
        const std::size_t whole = whole_characters(rest);
        EXPECT_TRUE(whole == 0 || whole == rest.size());
        said += json_string(std::string_view(rest).substr(0, whole));
        rest.erase(0, whole);
    }
    EXPECT_EQ(rest, "");
    EXPECT_EQ(said.find("\xef\xbf\xbd"), std::string::npos) << said;
}

TEST(EventTextTest, WhatIsNoCharacterIsNotWaitedFor) {
    EXPECT_EQ(whole_characters(""), 0u);
    EXPECT_EQ(whole_characters("ab"), 2u);
    EXPECT_EQ(whole_characters("a\xff"), 2u) << "no character begins so";
    EXPECT_EQ(whole_characters("a\xc0"), 2u) << "nor so";
    EXPECT_EQ(whole_characters("\x80\x80\x80\x80"), 4u) << "nothing began";
    EXPECT_EQ(whole_characters("a\xe2\x82"), 1u);
    EXPECT_EQ(whole_characters("a\xf0\x9f\x98"), 1u);
}

}  // namespace
}  // namespace segue::viewer
