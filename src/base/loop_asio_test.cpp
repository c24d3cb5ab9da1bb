// SPDX-License-Identifier: LGPL-2.1-or-later
#include <gtest/gtest.h>
#include <unistd.h>

#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

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

TEST(AsioLoop, TasksOfSeveralThreadsAllRunAndEachThreadsInItsOrder) {
    constexpr int kThreads = 4;
    constexpr int kTasks = 20000;
    auto loop = make_asio_loop();
    int next[kThreads] = {};
    int left = kThreads * kTasks;
    std::vector<std::thread> others;
    for (int who = 0; who < kThreads; ++who) {
        others.emplace_back([&, who] {
            for (int number = 0; number < kTasks; ++number) {
                loop->post([&, who, number] {
                    EXPECT_EQ(next[who]++, number);
                    if (--left == 0) loop->stop();
                });
            }
        });
    }
    loop->run();
    for (std::thread& other : others)
        other.join();
    EXPECT_EQ(left, 0);
}

// Whoever runs the loop catches it, and goes on.
TEST(AsioLoop, ATaskThatThrowsTakesNoOtherAlong) {
    auto loop = make_asio_loop();
    std::string order;
    for (const char* name : {"a", "b", "c"}) {
        loop->post([&order, name] {
            order += name;
            if (order.size() < 3) throw std::runtime_error("not this one");
        });
    }
    loop->post([&] { loop->stop(); });
    int caught = 0;
    for (bool runs = true; runs;) {
        try {
            loop->run();
            runs = false;
        } catch (const std::runtime_error&) {
            ++caught;
            // Behind those that were taken already.
            if (caught == 1) loop->post([&] { order += "!"; });
        }
    }
    EXPECT_EQ(order, "abc");
    EXPECT_EQ(caught, 2);
    loop->post([&] { loop->stop(); });
    loop->run();
    EXPECT_EQ(order, "abc!");
}

}  // namespace
}  // namespace segue
