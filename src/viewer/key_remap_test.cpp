// SPDX-License-Identifier: LGPL-2.1-or-later
#include "viewer/key_remap.h"

#include <SDL_keycode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace segue::viewer {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(KeyRemapTest, KeysBecomeOthersOrNone) {
    const auto remap = KeyRemap::parse("Super_L=,1=Shift_L+F1,KP_7=Home,a=B,F12=F11");
    ASSERT_TRUE(remap) << remap.error().message;
    ASSERT_NE(remap->find(SDLK_LGUI), nullptr);
    EXPECT_THAT(*remap->find(SDLK_LGUI), IsEmpty());
    EXPECT_THAT(*remap->find(SDLK_1), ElementsAre(SDLK_LSHIFT, SDLK_F1));
    EXPECT_THAT(*remap->find(SDLK_KP_7), ElementsAre(SDLK_HOME));
    EXPECT_THAT(*remap->find(SDLK_a), ElementsAre(SDLK_b));
    EXPECT_THAT(*remap->find(SDLK_F12), ElementsAre(SDLK_F11));
    EXPECT_EQ(remap->find(SDLK_2), nullptr);
}

TEST(KeyRemapTest, WhatIsNoKeyIsNamed) {
    for (const char* list : {"super_l=", "1", "1=F13", "=F1", "a=Nokey", "KP_10=", "F0="}) {
        const auto remap = KeyRemap::parse(list);
        ASSERT_FALSE(remap) << list;
        EXPECT_NE(remap.error().message.find("keymap"), std::string::npos);
    }
    EXPECT_TRUE(KeyRemap::parse(""));
}

}  // namespace
}  // namespace segue::viewer
