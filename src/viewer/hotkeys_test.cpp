// SPDX-License-Identifier: LGPL-2.1-or-later
#include "viewer/hotkeys.h"

#include <gtest/gtest.h>

namespace segue::viewer {
namespace {

TEST(HotkeysTest, ReadsRemoteViewersNotation) {
    EXPECT_EQ(parse_chord("Shift+F11").value(), (KeyChord{true, false, false, false, "f11"}));
    EXPECT_EQ(parse_chord("ctrl+alt").value(), (KeyChord{false, true, true, false, ""}));
    EXPECT_EQ(parse_chord("ctrl_l+plus").value(), (KeyChord{false, true, false, false, "="}));
    EXPECT_FALSE(parse_chord("a+b"));
    EXPECT_EQ(parse_chord("ctrl+alt").value().text(), "Ctrl+Alt");
    EXPECT_EQ(parse_chord("shift+f11").value().text(), "Shift+F11");
}

TEST(HotkeysTest, ListsReplaceDefaults) {
    Hotkeys hotkeys;
    EXPECT_EQ(hotkeys.find({true, false, false, false, "f11"}), Action::toggle_fullscreen);
    ASSERT_TRUE(hotkeys.apply("toggle-fullscreen=f5,release-cursor=,usb-device-reset=f1"));
    EXPECT_FALSE(hotkeys.find({true, false, false, false, "f11"}));
    EXPECT_EQ(hotkeys.find({false, false, false, false, "f5"}), Action::toggle_fullscreen);
    EXPECT_EQ(hotkeys.find({false, false, false, false, "f1"}), Action::usb_device_reset);
    EXPECT_FALSE(hotkeys.find({false, true, true, false, ""}));
    EXPECT_EQ(hotkeys.text_of(Action::release_cursor), "");
    EXPECT_FALSE(hotkeys.apply("fly=f1"));
    EXPECT_FALSE(hotkeys.apply("f1"));
}

}  // namespace
}  // namespace segue::viewer
