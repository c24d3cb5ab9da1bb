// SPDX-License-Identifier: LGPL-2.1-or-later
#include "qemu/sleep_waker.h"

#include <gtest/gtest.h>

namespace segue {
namespace {

TEST(SleepWaker, ThePortIsWhereQemuShowsIt) {
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

TEST(SleepWaker, WhatWasWrittenLastSaysWhetherItSleeps) {
    EXPECT_EQ(port_value_in("portw[0x0604] = 0x0401\r\n"), 0x401U);
    EXPECT_EQ(port_value_in("unknown command\r\n"), std::nullopt);
    EXPECT_TRUE(asks_for_sleep(0x401));
    EXPECT_FALSE(asks_for_sleep(0x001));
    // S4 and S5 are other types.
    EXPECT_FALSE(asks_for_sleep(0x801));
}

// A QEMU that was let run half asleep: it refuses to be woken until it sleeps again.
TEST(SleepWaker, OneThatIsHalfAsleepIsPutToSleepAndWoken) {
    const auto loop = make_asio_loop();
    std::string status = "running";
    std::vector<std::string> told;
    const auto ask = [&](const char* command, const Json& arguments, const SleepWaker::Said& said) {
        const std::string name = command, line(arguments.text("command-line"));
        if (name == "query-status") return said(Json::object({{"status", status}}));
        told.push_back(line.empty() ? name : line);
        if (name == "system_wakeup") {
            status = "running";
            return said(Json::object());
        }
        if (line == "info mtree")
            return said(Json(std::string("0000000000000604-05 (prio 0): acpi-cnt\n")));
        if (line == "i /h 0x604") return said(Json(std::string("portw[0x0604] = 0x0401\n")));
        status = "suspended";
        said(Json(std::string()));
    };
    SleepWaker::wake_half_asleep(*loop, {"g", ask}, [&](const Result<>& done) {
        EXPECT_TRUE(done);
        told.push_back("done");
        // Behind the turn in which it lets go of its timer, and so of itself.
        loop->post([&] { loop->post([&] { loop->stop(); }); });
    });
    loop->run();
    EXPECT_EQ(told, (std::vector<std::string>{"info mtree", "i /h 0x604", "o /h 0x604 0x2401",
                                              "system_wakeup", "done"}));
}

}  // namespace
}  // namespace segue
