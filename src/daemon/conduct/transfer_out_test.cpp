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

}  // namespace
}  // namespace segue
