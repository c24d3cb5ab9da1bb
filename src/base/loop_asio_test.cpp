// SPDX-License-Identifier: LGPL-2.1-or-later
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "base/loop.h"

namespace segue {
namespace {

TEST(AsioLoop, TimersFireInOrderAndCancelledOnesNever) {
    auto loop = make_asio_loop();
    std::string order;
    auto late = loop->make_timer([&] {
        order += "late";
        loop->stop();
    });
    auto early = loop->make_timer([&] { order += "early "; });
    auto never = loop->make_timer([&] { order += "never "; });
    late->start(20ms);
    early->start(5ms);
    never->start(1ms);
    never->cancel();
    loop->run();
    EXPECT_EQ(order, "early late");
}

TEST(AsioLoop, ATimerMayDestroyItselfInItsCallback) {
    auto loop = make_asio_loop();
    std::unique_ptr<Timer> timer;
    timer = loop->make_timer([&] {
        timer.reset();
        loop->stop();
    });
    timer->start(1ms);
    loop->run();
    EXPECT_EQ(timer, nullptr);
}

TEST(AsioLoop, AWatchIsLevelTriggeredAndMayDestroyItself) {
    auto loop = make_asio_loop();
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    ASSERT_EQ(write(ends[1], "ab", 2), 2);
    int calls = 0;
    std::unique_ptr<Watch> watch;
    watch = loop->watch(ends[0], [&](Loop::Ready ready) {
        EXPECT_TRUE(ready.readable);
        char byte;
        ASSERT_EQ(read(ends[0], &byte, 1), 1);
        if (++calls == 2) {
            watch.reset();
            loop->stop();
        }
    });
    watch->set_interest(true, false);
    loop->run();
    EXPECT_EQ(calls, 2);
    close(ends[0]);
    close(ends[1]);
}

TEST(AsioLoop, PostFromAnotherThreadRunsOnTheLoop) {
    auto loop = make_asio_loop();
    const auto owner = std::this_thread::get_id();
    std::thread other([&] {
        loop->post([&] {
            EXPECT_EQ(std::this_thread::get_id(), owner);
            loop->stop();
        });
    });
    loop->run();
    other.join();
}

}  // namespace
}  // namespace segue
