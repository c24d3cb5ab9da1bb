// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/conduct/transfer_out.h"

#include <gtest/gtest.h>

#include "daemon/test_monitor.h"
#include "net/test_loop.h"

namespace segue {
namespace {

TEST(TransferOut, AsksNobodyOnceQemuIsGone) {
    net::TestLoop loop;
    TestMonitor monitor(*loop, testing::TempDir(), "transfer-out");
    auto guest = std::make_unique<Guest>(*loop, monitor.path, 0, Guest::Handlers{});
    TransferOut transfer(*loop);
    transfer.start(
        *guest, {.uri = "tcp:127.0.0.1:1", .options = {}, .tuning = {}, .tls_directory = {}}, {});
    ASSERT_TRUE(loop.run_until([&] { return monitor.asked("query-migrate") >= 2; }, 20s));
    guest.reset();  // the timer of the next question is running
    const std::size_t before = monitor.asked("query-migrate");
    loop.run_for(300ms);
    EXPECT_LE(monitor.asked("query-migrate"), before + 1);
}

// QEMU 7.2 says `completed` a moment before it has counted its times.
TEST(TransferOut, AsksAgainWhileQemuHasNotCounted) {
    net::TestLoop loop;
    int questions = 0;
    TestMonitor monitor(*loop, testing::TempDir(), "transfer-counted", [&](const Json& command) {
        if (command.text("execute") != "query-migrate") return Json::object();
        Json said = Json::object({{"status", "completed"}, {"downtime", 0}});
        if (++questions > 3) said.set("total-time", 40).set("downtime", 7);
        return said;
    });
    Guest guest(*loop, monitor.path, 0, Guest::Handlers{});
    TransferOut transfer(*loop);
    bool completed = false;
    transfer.start(guest,
                   {.uri = "tcp:127.0.0.1:1", .options = {}, .tuning = {}, .tls_directory = {}},
                   {.completed = [&] { completed = true; }, .failed = {}, .cancelled = {}});
    transfer.status_changed(guest, "completed");
    ASSERT_TRUE(loop.run_until([&] { return completed; }, 20s));
    EXPECT_EQ(transfer.statistics().total_ms, 40);
    EXPECT_EQ(transfer.statistics().downtime_ms, 7);
}

bool is_set(const Json& capabilities, std::string_view name) {
    for (const Json& one : capabilities["capabilities"].items()) {
        if (one.text("capability") == name) return one.flag("state");
    }
    ADD_FAILURE() << name << " is not named";
    return false;
}

TEST(TransferOut, PausesAtTheEndWhereTheGuestSleeps) {
    using enum MigrationEnd;
    EXPECT_FALSE(is_set(migration_capabilities({}, source), "pause-before-switchover"));
    EXPECT_FALSE(is_set(migration_capabilities({}, destination), "pause-before-switchover"));
    EXPECT_TRUE(is_set(migration_capabilities({}, source_that_pauses), "pause-before-switchover"));
}

// Of a monitor that says nothing by itself: the pause is found by asking.
TEST(TransferOut, LetsAPausedTransferGoOn) {
    net::TestLoop loop;
    TestMonitor monitor(*loop, testing::TempDir(), "transfer-paused", [](const Json& command) {
        if (command.text("execute") != "query-migrate") return Json::object();
        return Json::object({{"status", "pre-switchover"}});
    });
    Guest guest(*loop, monitor.path, 0, Guest::Handlers{});
    TransferOut transfer(*loop);
    transfer.start(guest,
                   {.uri = "tcp:127.0.0.1:1",
                    .options = {},
                    .tuning = {},
                    .tls_directory = {},
                    .asleep = true},
                   {});
    ASSERT_TRUE(loop.run_until([&] { return monitor.asked("migrate-continue") >= 1; }, 20s));
    transfer.guest_slept(guest);  // it is woken in the pause
    loop.run_for(50ms);
    EXPECT_EQ(monitor.asked("system_wakeup"), 0);
}

TEST(TransferOut, WakesAGuestThatFallsAsleepOnTheWay) {
    net::TestLoop loop;
    TestMonitor monitor(*loop, testing::TempDir(), "transfer-asleep");
    Guest guest(*loop, monitor.path, 0, Guest::Handlers{});
    TransferOut transfer(*loop);
    transfer.guest_slept(guest);  // nothing runs that it could be lost in
    transfer.start(
        guest, {.uri = "tcp:127.0.0.1:1", .options = {}, .tuning = {}, .tls_directory = {}}, {});
    ASSERT_TRUE(loop.run_until([&] { return monitor.asked("migrate") == 1; }, 20s));
    EXPECT_EQ(monitor.asked("system_wakeup"), 0);
    transfer.guest_slept(guest);
    ASSERT_TRUE(loop.run_until([&] { return monitor.asked("system_wakeup") == 1; }, 20s));
}

}  // namespace
}  // namespace segue
