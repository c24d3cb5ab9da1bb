// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/display.h"

#include <gtest/gtest.h>

#include <mutex>

#include "net/test_loop.h"
#include "spice/server/display/guest/fake_device.h"

namespace segue::spice::server {
namespace {

// Its ring cannot be read while somebody holds the gate: a worker that has much to do.
class SlowDevice final : public FakeDevice {
  public:
    using FakeDevice::FakeDevice;
    bool next_command(QXLCommandExt& command) override {
        const std::lock_guard lock(gate);
        return FakeDevice::next_command(command);
    }
    std::mutex gate;
};

TEST(Display, AQuestionForItsCountersWaitsForNoWorker) {
    net::TestLoop home;
    auto made = std::make_unique<SlowDevice>(std::size_t{1} << 20);
    SlowDevice& device = *made;
    device.queue(QXL_CMD_NOP, 0);
    const auto display = Display::make(std::move(made), *home, {[](LinkId) {}, {}}).value();
    std::optional<Display::Counters> answer;
    {
        const std::lock_guard lock(device.gate);
        display->start();
        display->ask_counters([&](const Display::Counters& counters) { answer = counters; });
        home.run_for(5ms);
        EXPECT_FALSE(answer.has_value());
    }
    EXPECT_TRUE(home.run_until([&] { return answer.has_value(); }));
    EXPECT_EQ(answer->commands, 1U);
}

}  // namespace
}  // namespace segue::spice::server
