// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/protection/waker.h"

#include <gtest/gtest.h>

namespace segue {
namespace {

TEST(Waker, ThePortIsWhereQemuShowsIt) {
    EXPECT_EQ(sleep_port_in("address-space: I/O\n"
                            "  0000000000000000-000000000000ffff (prio 0, i/o): io\n"
                            "    0000000000000600-000000000000063f (prio 0, i/o): piix4-pm\n"
                            "      0000000000000600-0000000000000603 (prio 0, i/o): acpi-evt\n"
                            "      0000000000000604-0000000000000605 (prio 0, i/o): acpi-cnt\n"),
              0x604U);
    EXPECT_EQ(sleep_port_in("0000000000000604-0000000000000605 (prio 0, i/o): acpi-cnt"), 0x604U);
    EXPECT_EQ(sleep_port_in("  0000000000000600-000000000000063f (prio 0, i/o): piix4-pm\n"),
              std::nullopt);
    EXPECT_EQ(sleep_port_in("  what is this: acpi-cnt\n"), std::nullopt);
    EXPECT_EQ(sleep_port_in(""), std::nullopt);
}

TEST(Waker, WhatWasWrittenLastSaysWhetherItSleeps) {
    EXPECT_EQ(port_value_in("portw[0x0604] = 0x0401\r\n"), 0x401U);
    EXPECT_EQ(port_value_in("unknown command\r\n"), std::nullopt);
    EXPECT_TRUE(asks_for_sleep(0x401));
    EXPECT_FALSE(asks_for_sleep(0x001));
    // S4 and S5 are other types.
    EXPECT_FALSE(asks_for_sleep(0x801));
}

}  // namespace
}  // namespace segue
