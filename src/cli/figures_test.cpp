// SPDX-License-Identifier: LGPL-2.1-or-later
#include "cli/figures.h"

#include <gtest/gtest.h>

namespace segue::cli {
namespace {

TEST(Figures, OursSayTheirUnitInTheirName) {
    EXPECT_EQ(figure_text("protection.interval_ms", Json(std::uint64_t{500})), "500 ms");
    EXPECT_EQ(figure_text("protection.pause_us.p50", Json(std::uint64_t{2400})), "2.4 ms");
    EXPECT_EQ(figure_text("lag_us", Json(std::uint64_t{80})), "80 us");
    EXPECT_EQ(figure_text("alone_after_us", Json(std::uint64_t{3'200'000})), "3.2 s");
    EXPECT_EQ(figure_text("protection.backlog_bytes", Json(std::uint64_t{3} << 20)), "3 MiB");
    EXPECT_EQ(figure_text("since_ms", Json(std::uint64_t{1'700'000'000'123})),
              "2023-11-14T22:13:20Z");
    EXPECT_EQ(figure_text("since_ms", Json(std::uint64_t{253'402'300'799'999})),
              "9999-12-31T23:59:59Z");
    EXPECT_EQ(figure_text("since_ms", Json(UINT64_MAX)), "18446744073709551615");
    EXPECT_EQ(figure_name("protection.pause_us.p50"), "protection.pause.p50");
    EXPECT_EQ(figure_name("protection.interval_ms"), "protection.interval");
    EXPECT_EQ(figure_name("viewers[0].channel"), "viewers[0].channel");
}

TEST(Figures, LibvirtsHaveTheirsByItsHeader) {
    EXPECT_EQ(figure_text("time_elapsed", Json(std::uint64_t{12'300})), "12.3 s");
    EXPECT_EQ(figure_text("downtime", Json(std::uint64_t{4})), "4 ms");
    EXPECT_EQ(figure_text("data_remaining", Json(std::uint64_t{256} << 20)), "256 MiB");
    EXPECT_EQ(figure_text("memory_bps", Json(std::uint64_t{1} << 30)), "1 GiB/s");
    EXPECT_EQ(figure_text("operation", Json(std::int64_t{5})), "outgoing migration");
    EXPECT_EQ(figure_text("memory_iteration", Json(std::uint64_t{3})), "3");
}

TEST(Figures, WhatIsNoNumberStandsAsItIs) {
    EXPECT_EQ(figure_text("state", Json("running")), "running");
    EXPECT_EQ(figure_text("persistent", Json(true)), "yes");
    EXPECT_EQ(figure_text("lag_us", Json(std::int64_t{-1})), "-1");
    EXPECT_EQ(figure_text("viewers", Json::array()), "[]");
}

}  // namespace
}  // namespace segue::cli
