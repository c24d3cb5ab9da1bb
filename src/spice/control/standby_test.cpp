// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/control/standby.h"

#include <gtest/gtest.h>

namespace segue::spice::control {
namespace {

TEST(ControlStandby, WhatIsSaidIsRead) {
    for (const StandbyPlace& place :
         {StandbyPlace{"host", 5900, 5901, "CN=host"},
          StandbyPlace{"::1", 0, 1, "", StandbySource::left},
          StandbyPlace{"h", 1, 0, "", StandbySource::stands_still}, StandbyPlace{}}) {
        const auto read = parse_standby(to_line(place));
        ASSERT_TRUE(read);
        ASSERT_TRUE(*read);
        EXPECT_EQ(**read, place);
    }
}

TEST(ControlStandby, OtherLinesAreLeftToOthers) {
    for (const char* line : {"", "[]", "{}", R"({"cmd":"status"})", R"({"cmd":7})", "{"}) {
        const auto read = parse_standby(line);
        ASSERT_TRUE(read) << line;
        EXPECT_FALSE(*read) << line;
    }
}

TEST(ControlStandby, EveryMemberHasALimit) {
    EXPECT_TRUE(parse_standby(R"({"cmd":"standby","port":65534})"));
    EXPECT_FALSE(parse_standby(R"({"cmd":"standby","port":65535})"));
    EXPECT_FALSE(parse_standby(R"({"cmd":"standby","tls_port":70000})"));
    EXPECT_FALSE(parse_standby(R"({"cmd":"standby","source":"elsewhere"})"));
    EXPECT_FALSE(parse_standby(R"({"cmd":"standby","source":7})"));
    StandbyPlace place{std::string(kMostHost, 'h'), 1, 0, std::string(kMostSubject, 's')};
    EXPECT_TRUE(parse_standby(to_line(place)));
    place.host += 'h';
    EXPECT_FALSE(parse_standby(to_line(place)));
    place = {"h", 1, 0, std::string(kMostSubject + 1, 's')};
    EXPECT_FALSE(parse_standby(to_line(place)));
}

}  // namespace
}  // namespace segue::spice::control
