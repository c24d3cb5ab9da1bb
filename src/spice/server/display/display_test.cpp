// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/display.h"

#include <gtest/gtest.h>
#include <spice/enums.h>

#include <atomic>
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
    void release(QXLReleaseInfoExt info) override {
        FakeDevice::release(info);
        ++releases;
    }
    void flush_released() override {
        given_back = released.size();
        ++flushes;
    }
    std::mutex gate;
    std::atomic<int> releases{0};
    // What the guest has back by then.
    std::atomic<std::size_t> given_back{0};
    std::atomic<int> flushes{0};
};

TEST(Display, AQuestionForItsCountersWaitsForNoWorker) {
    net::TestLoop home;
    auto made = std::make_unique<SlowDevice>(std::size_t{1} << 20);
    SlowDevice& device = *made;
    device.queue(QXL_CMD_NOP, 0);
    const auto display = Display::make(std::move(made), *home, {[](LinkId) {}, {}, {}}).value();
    std::optional<Display::Counters> answer;
    {
        const std::lock_guard lock(device.gate);
        display->start();
        display->ask_counters(
            [&](const Display::Counters& counters, const auto&) { answer = counters; });
        home.run_for(5ms);
        EXPECT_FALSE(answer.has_value());
    }
    EXPECT_TRUE(home.run_until([&] { return answer.has_value(); }));
    EXPECT_EQ(answer->commands, 1U);
}

// A guest that never stops drawing, whose device is taken away.
TEST(Display, EndsWhileItsGuestDraws) {
    class EndlessDevice final : public FakeDevice {
      public:
        EndlessDevice() : FakeDevice(64) {}
        bool next_command(QXLCommandExt& command) override {
            command = {};
            command.cmd.type = QXL_CMD_NOP;
            command.cmd.data = kBase;
            command.group_id = kGroup;
            return true;
        }
        void release(QXLReleaseInfoExt) override { given_back.fetch_add(1); }
        std::atomic<std::uint64_t> given_back{0};
    };
    net::TestLoop home;
    auto made = std::make_unique<EndlessDevice>();
    EndlessDevice& device = *made;
    auto display = Display::make(std::move(made), *home, {[](LinkId) {}, {}, {}}).value();
    display->add_slot(device.slot());
    display->start();
    EXPECT_TRUE(home.run_until([&] { return device.given_back.load() > 4000; }));
    display.reset();
}

// Its driver and the display have missed each other: a command stands in the ring untold.
TEST(Display, ACommandThatNobodyToldOfIsTaken) {
    class QuietDevice final : public FakeDevice {
      public:
        using FakeDevice::FakeDevice;
        bool next_command(QXLCommandExt& command) override {
            const std::lock_guard lock(mutex);
            return FakeDevice::next_command(command);
        }
        bool request_command_notice() override {
            const std::lock_guard lock(mutex);
            if (!commands.empty()) return false;
            // The driver adds its next one right now, and does not see that it is waited for.
            if (later > 0) queue(QXL_CMD_NOP, kBase);
            --later;
            return true;
        }
        std::mutex mutex;
        int later = 3;
    };
    net::TestLoop home;
    auto made = std::make_unique<QuietDevice>(std::size_t{1} << 20);
    QuietDevice& device = *made;
    device.queue(QXL_CMD_NOP, FakeDevice::kBase);
    const auto display = Display::make(std::move(made), *home, {[](LinkId) {}, {}, {}}).value();
    display->add_slot(device.slot());
    display->start();
    EXPECT_TRUE(home.run_until([&] {
        const std::lock_guard lock(device.mutex);
        return device.later < 0 && device.commands.empty();
    }));
}

TEST(Display, WhatTheGuestWaitsForIsCompletedThoughMemoryIsShort) {
    class PoorDevice final : public FakeDevice {
      public:
        using FakeDevice::FakeDevice;
        void updated(std::uint32_t, std::vector<QXLRect>) override { throw std::bad_alloc(); }
        void complete(std::uint64_t cookie) override {
            const std::lock_guard lock(mutex);
            FakeDevice::complete(cookie);
        }
        std::vector<std::uint64_t> cookies() {
            const std::lock_guard lock(mutex);
            return completed;
        }
        std::mutex mutex;
    };
    net::TestLoop home;
    auto made = std::make_unique<PoorDevice>(std::size_t{1} << 20);
    PoorDevice& device = *made;
    const auto display = Display::make(std::move(made), *home, {[](LinkId) {}, {}, {}}).value();
    display->update_area_async(0, {}, false, 7);
    display->destroy_surface_async(3, 8);
    EXPECT_TRUE(home.run_until([&] {
        const auto cookies = device.cookies();
        return !cookies.empty() && cookies.back() == 8;
    }));
    EXPECT_EQ(device.cookies(), (std::vector<std::uint64_t>{7, 8}));
}

class DisplayAtItsEnd : public testing::Test {
  protected:
    // A display whose screen lies in memory of this group; with a command that was not taken yet.
    void make(std::uint32_t group) {
        auto made = std::make_unique<SlowDevice>(std::size_t{1} << 20);
        device_ = made.get();
        display_ = Display::make(std::move(made), *home_, {[](LinkId) {}, {}, {}}).value();
        MemorySlot slot = device_->slot();
        slot.group = group;
        display_->add_slot(slot);
        PrimarySurface primary;
        primary.width = primary.height = 16;
        primary.stride = 64;
        primary.format = SPICE_SURFACE_FMT_32_xRGB;
        primary.group = group;
        primary.memory = FakeDevice::kBase;
        display_->create_primary(0, primary);
        display_->start();
        std::ignore = commands();  // what start() does is over
        device_->queue(QXL_CMD_NOP, 0);
    }
    std::uint64_t commands() {
        std::optional<std::uint64_t> answer;
        display_->ask_counters(
            [&](const Display::Counters& now, const auto&) { answer = now.commands; });
        EXPECT_TRUE(home_.run_until([&] { return answer.has_value(); }));
        return *answer;
    }
    // What a driver draws on the screen; with the device's gate held.
    void queue_fill(const QXLRect& box, std::uint32_t colour = 0) {
        constexpr std::size_t kBehindScreen = 16 * 64;
        device_->used = std::max(device_->used, kBehindScreen);
        QXLDrawable fill{};
        fill.type = QXL_DRAW_FILL;
        fill.bbox = box;
        fill.u.fill.brush.type = SPICE_BRUSH_TYPE_SOLID;
        fill.u.fill.brush.u.color = colour;
        fill.u.fill.rop_descriptor = SPICE_ROPD_OP_PUT;
        device_->queue(QXL_CMD_DRAW, device_->put(fill));
    }

    net::TestLoop home_;
    SlowDevice* device_ = nullptr;
    std::unique_ptr<Display> display_;
};

// QEMU finds what a machine drew last when that stands still already.
TEST_F(DisplayAtItsEnd, WhatQemuDrewForTheMachineIsTakenUntilItsClientsLeave) {
    make(0);
    display_->stop();
    EXPECT_EQ(commands(), 1U);
    device_->queue(QXL_CMD_NOP, 0);
    display_->wakeup();
    EXPECT_EQ(commands(), 1U) << "it stands still";
    display_->migrate(LinkId{1}, false);
    EXPECT_TRUE(home_.run_until([&] { return commands() == 2; }));
}

// Its pause does not become longer by what it has drawn.
TEST_F(DisplayAtItsEnd, AMachineThatStopsWaitsForNoneOfThat) {
    make(0);
    {
        const std::lock_guard lock(device_->gate);
        display_->stop();
    }
    EXPECT_EQ(commands(), 1U);
    display_->stop();
    EXPECT_EQ(commands(), 1U) << "it stood still already";
}

// The pixels are saved with the machine's memory.
TEST_F(DisplayAtItsEnd, WhatIsPendingIsInMemoryWhenItStandsStill) {
    make(1);
    {
        const std::lock_guard lock(device_->gate);
        queue_fill({0, 0, 16, 16}, 0x112233);
    }
    display_->wakeup();
    EXPECT_EQ(commands(), 2U);
    display_->stop();
    EXPECT_EQ(device_->released.size(), 1U);
    for (std::size_t pixel = 0; pixel < 256; ++pixel) {
        std::uint32_t value;
        std::memcpy(&value, device_->memory.data() + pixel * 4, sizeof value);
        ASSERT_EQ(value & 0xffffff, 0x112233U) << pixel;
    }
}

// It may ask once, and wait for the last of it.
TEST_F(DisplayAtItsEnd, AGuestThatLacksMemoryHasAllBackThatItGave) {
    make(1);
    std::ignore = commands();
    constexpr std::size_t kMany = 2000;
    {
        const std::lock_guard lock(device_->gate);
        for (std::size_t at = 0; at < kMany; ++at)
            device_->queue(QXL_CMD_NOP, FakeDevice::kBase + at * 16);
    }
    display_->out_of_memory();
    EXPECT_TRUE(home_.run_until([&] { return device_->flushes > 0; }));
    EXPECT_EQ(device_->given_back, kMany);
}

// QEMU keeps a few commands until it is told that no more come.
TEST_F(DisplayAtItsEnd, WhatNobodyLookedAtReachesTheGuest) {
    make(1);
    {
        const std::lock_guard lock(device_->gate);
        queue_fill({0, 0, 16, 16});
    }
    display_->wakeup();
    EXPECT_TRUE(home_.run_until([&] { return device_->flushes > 0; }));
    EXPECT_EQ(device_->given_back, 1U);
}

// A display without a driver keeps none, and QEMU would end if it were told.
TEST_F(DisplayAtItsEnd, WhatQemuDrewItselfIsOnlyReleased) {
    make(0);
    {
        const std::lock_guard lock(device_->gate);
        queue_fill({0, 0, 16, 16});
        device_->commands.back().group_id = 0;
    }
    display_->wakeup();
    EXPECT_TRUE(home_.run_until([&] { return device_->releases > 0; }));
    std::ignore = commands();  // what released them is over
    EXPECT_EQ(device_->flushes, 0);
}

// Who asks is told each pixel once, however few rectangles it has room for.
TEST_F(DisplayAtItsEnd, TheLastRectangleStandsForThoseThatFindNoRoom) {
    make(1);
    {
        const std::lock_guard lock(device_->gate);
        for (std::int32_t at = 0; at < 16; at += 4)
            queue_fill({at, at, at + 2, at + 2});
    }
    QXLRect dirty[2]{};
    display_->update_area(0, {0, 0, 16, 16}, dirty, true);
    EXPECT_EQ(dirty[0].right, 2);
    EXPECT_EQ(dirty[1].top, 4);
    EXPECT_EQ(dirty[1].left, 4);
    EXPECT_EQ(dirty[1].bottom, 14);
    EXPECT_EQ(dirty[1].right, 14);
    display_->update_area(0, {0, 0, 16, 16}, dirty, true);
    EXPECT_EQ(dirty[0].right, 0) << "it was told";
}

// It finds them again where it goes.
TEST_F(DisplayAtItsEnd, CommandsOfADriverStayInItsRing) {
    make(1);
    display_->stop();
    display_->migrate(LinkId{1}, false);
    home_.run_for(50ms);
    EXPECT_EQ(commands(), 0U);
}

}  // namespace
}  // namespace segue::spice::server
