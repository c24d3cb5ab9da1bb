// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/log_keeper.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace segue {
namespace {

TEST(LogKeeper, CutsTheLogsOfGuestsAndOfHelpers) {
    char path[] = "/tmp/segue-logs-XXXXXX";
    const std::filesystem::path state = ::mkdtemp(path);
    const std::filesystem::path long_ones[] = {
        state / "domains/one/stderr.log", state / "domains/two/stderr.log",
        state / "protection/three/log", state / "protection/three/standby/qemu.log"};
    const std::filesystem::path short_one = state / "domains/four/stderr.log";
    for (const auto& log : long_ones) {
        std::filesystem::create_directories(log.parent_path());
        std::ofstream(log) << std::string(1001, 'x');
    }
    std::filesystem::create_directories(short_one.parent_path());
    std::ofstream(short_one) << std::string(1000, 'x');
    std::ofstream(state / "domains/one.pid") << "beside";

    const auto loop = make_asio_loop();
    LogKeeper keeper(*loop, state, {.most = 1000, .kept = 10, .every = 1ms});
    const auto all_are_cut = [&] {
        return std::all_of(std::begin(long_ones), std::end(long_ones),
                           [](const auto& log) { return std::filesystem::file_size(log) == 10; });
    };
    std::unique_ptr<Timer> look, bound;
    look = loop->make_timer([&] {
        if (all_are_cut()) return loop->stop();
        look->start(1ms);
    });
    bound = loop->make_timer([&] { loop->stop(); });
    look->start(1ms);
    bound->start(30s);
    loop->run();
    EXPECT_TRUE(all_are_cut());
    EXPECT_EQ(std::filesystem::file_size(short_one), 1000U);
    std::filesystem::remove_all(state);
}

}  // namespace
}  // namespace segue
