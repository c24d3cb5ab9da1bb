// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/ticket.h"

#include <gtest/gtest.h>

namespace segue {
namespace {

constexpr std::int64_t kNow = 1795314000;  // 2026-11-22T02:20:00

Domain with_screen() {
    return parse_domain(
               "<domain type='qemu'><name>d</name><memory>65536</memory><os><type>hvm"
               "</type></os><devices><graphics type='spice' autoport='yes' "
               "passwd='old' passwdValidTo='2030-01-01T00:00:00'/></devices></domain>")
        .value();
}

TEST(Ticket, ChangedOverTheMonitorIsInTheLiveDefinition) {
    Domain live = with_screen();
    Graphics& screen = live.graphics[0];
    EXPECT_TRUE(note_ticket(live, "set_password",
                            Json::object({{"protocol", "spice"}, {"password", "new"}}), kNow));
    EXPECT_EQ(screen.password, "new");
    EXPECT_EQ(screen.password_valid_to, "2030-01-01T00:00:00");
    const auto expires = [&](const char* time) {
        EXPECT_TRUE(note_ticket(live, "expire_password",
                                Json::object({{"protocol", "spice"}, {"time", time}}), kNow));
        return screen.password_valid_to;
    };
    EXPECT_EQ(expires("+60"), "2026-11-22T02:21:00");
    EXPECT_EQ(expires("now"), "2026-11-22T02:20:00");
    EXPECT_EQ(expires("1893456000"), "2030-01-01T00:00:00");
    EXPECT_EQ(expires("never"), std::nullopt);
    EXPECT_EQ(expires("99999999999999999"), std::nullopt);
    EXPECT_TRUE(note_ticket(live, "set_password spice  newer keep", kNow));
    EXPECT_EQ(screen.password, "newer");
    EXPECT_TRUE(note_ticket(live, R"(set_password spice "two words \"\\" fail)", kNow));
    EXPECT_EQ(screen.password, R"(two words "\)");
    EXPECT_TRUE(note_ticket(live, R"(set_password spice "not closed)", kNow));
    EXPECT_EQ(screen.password, "not closed");
    EXPECT_TRUE(note_ticket(live, "expire_password spice +1", kNow));
    EXPECT_EQ(screen.password_valid_to, "2026-11-22T02:20:01");
}

TEST(Ticket, EverythingElseChangesNothing) {
    Domain live = with_screen();
    EXPECT_FALSE(note_ticket(live, "set_password vnc secret", kNow));
    EXPECT_FALSE(note_ticket(live, "set_password", kNow));
    EXPECT_FALSE(note_ticket(live, "info spice now", kNow));
    EXPECT_FALSE(note_ticket(live, "", kNow));
    EXPECT_FALSE(note_ticket(live, "query-status", Json(), kNow));
    EXPECT_EQ(live.graphics[0].password, "old");
}

}  // namespace
}  // namespace segue
