// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/control/screen_word.h"

#include <gtest/gtest.h>

#include "spice/control/messages.h"

namespace segue::spice::control {
namespace {

using Kind = ScreenWord::Kind;

TEST(ControlScreenWord, WhatIsSaidIsRead) {
    for (const ScreenWord word :
         {ScreenWord{Kind::hold, {}, false}, ScreenWord{Kind::hold, {}, true},
          ScreenWord{Kind::pass, {}, false},
          ScreenWord{Kind::release, {Duration(1234567890123456789)}, false}}) {
        const auto read = parse_screen_word(to_line(word));
        ASSERT_TRUE(read && *read) << to_line(word);
        EXPECT_EQ(**read, word);
    }
    const ScreenAnswer answer{true, 7};
    const auto read = parse_screen_answer(to_line(answer));
    ASSERT_TRUE(read && *read);
    EXPECT_EQ(**read, answer);
}

TEST(ControlScreenWord, APictureThatIsNotSaidToPassIsHeld) {
    for (const char* line :
         {R"({"cmd":"screen","do":"hold"})", R"({"cmd":"screen","do":"hold","picture":"flies"})",
          R"({"cmd":"screen","do":"hold","picture":true})"}) {
        const auto read = parse_screen_word(line);
        ASSERT_TRUE(read && *read) << line;
        EXPECT_FALSE((*read)->picture_passes) << line;
    }
}

TEST(ControlScreenWord, OtherLinesAreLeftToOthers) {
    for (const char* line : {R"({"cmd":"status"})", R"({"cmd":7})", "[]", "", "{"}) {
        const auto read = parse_screen_word(line);
        ASSERT_TRUE(read) << line;
        EXPECT_FALSE(*read) << line;
    }
    const auto read = parse_screen_answer(R"({"event":"client-connected","client":1})");
    ASSERT_TRUE(read);
    EXPECT_FALSE(*read);
}

TEST(ControlScreenWord, WhatCannotBeDoneIsAnError) {
    for (const char* line :
         {R"({"cmd":"screen"})", R"({"cmd":"screen","do":"fly"})", R"({"cmd":"screen","do":1})",
          R"({"cmd":"screen","do":"release"})", R"({"cmd":"screen","do":"release","until_ns":-1})",
          R"({"cmd":"screen","do":"release","until_ns":18446744073709551615})"}) {
        EXPECT_FALSE(parse_screen_word(line)) << line;
    }
}

// A library of an older release knows no such word, and says so.
TEST(ControlScreenWord, ARefusalIsAnError) {
    const auto read = parse_screen_answer(error_line("unknown command 'screen'"));
    ASSERT_FALSE(read);
    EXPECT_NE(read.error().message.find("unknown command 'screen'"), std::string::npos);
}

}  // namespace
}  // namespace segue::spice::control
