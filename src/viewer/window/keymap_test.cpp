// SPDX-License-Identifier: LGPL-2.1-or-later
#include "viewer/window/keymap.h"

#include <gtest/gtest.h>

namespace segue::viewer {
namespace {

TEST(KeymapTest, KeysOfEachBlock) {
    EXPECT_EQ(xt_scan_code(4), 0x1eu);      // A
    EXPECT_EQ(xt_scan_code(29), 0x2cu);     // Z
    EXPECT_EQ(xt_scan_code(39), 0x0bu);     // 0
    EXPECT_EQ(xt_scan_code(40), 0x1cu);     // enter
    EXPECT_EQ(xt_scan_code(56), 0x35u);     // slash
    EXPECT_EQ(xt_scan_code(69), 0x58u);     // F12
    EXPECT_EQ(xt_scan_code(82), 0x48e0u);   // up
    EXPECT_EQ(xt_scan_code(83), 0x45u);     // num lock
    EXPECT_EQ(xt_scan_code(99), 0x53u);     // keypad .
    EXPECT_EQ(xt_scan_code(100), 0x56u);    // beside left shift
    EXPECT_EQ(xt_scan_code(224), 0x1du);    // left control
    EXPECT_EQ(xt_scan_code(230), 0x38e0u);  // right alt
    EXPECT_EQ(xt_scan_code(500), 0u);
}

// As QEMU 7.2 takes them: `sendkey NAME` and `sendkey CODE` are the same key there.
TEST(KeymapTest, KeysOfOtherCountries) {
    EXPECT_EQ(xt_scan_code(103), 0x59u);    // kp_equals
    EXPECT_EQ(xt_scan_code(133), 0x7eu);    // kp_comma
    EXPECT_EQ(xt_scan_code(135), 0x73u);    // ro
    EXPECT_EQ(xt_scan_code(136), 0x70u);    // katakanahiragana
    EXPECT_EQ(xt_scan_code(137), 0x7du);    // yen
    EXPECT_EQ(xt_scan_code(138), 0x79u);    // henkan
    EXPECT_EQ(xt_scan_code(139), 0x7bu);    // muhenkan
    EXPECT_EQ(xt_scan_code(144), 0x72u);    // lang1
    EXPECT_EQ(xt_scan_code(145), 0x71u);    // lang2
    EXPECT_EQ(xt_scan_code(147), 0x77u);    // hiragana
    EXPECT_EQ(xt_scan_code(127), 0x20e0u);  // audiomute
    EXPECT_EQ(xt_scan_code(261), 0x22e0u);  // audioplay
}

TEST(KeymapTest, WhatIsNoKeyHasNoCode) {
    EXPECT_EQ(xt_scan_code(0), 0u);
    EXPECT_EQ(xt_scan_code(-1), 0u);
    EXPECT_EQ(xt_scan_code(500), 0u);
}

}  // namespace
}  // namespace segue::viewer
