// SPDX-License-Identifier: LGPL-2.1-or-later
#include "base/loop_epoll.h"

#include <gtest/gtest.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace segue {
namespace {

class Pipe {
  public:
    Pipe() { EXPECT_EQ(::pipe(ends_), 0); }
    ~Pipe() {
        ::close(ends_[0]);
        hang_up();
    }
    int reader() const { return ends_[0]; }
    void fill(const std::string& text) {
        EXPECT_EQ(::write(ends_[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
    }
    char take() {
        char byte = 0;
        EXPECT_EQ(::read(ends_[0], &byte, 1), 1);
        return byte;
    }
    void hang_up() {
        if (ends_[1] >= 0) ::close(std::exchange(ends_[1], -1));
    }

  private:
    int ends_[2] = {-1, -1};
};

class EpollLoopTest : public ::testing::Test {
  protected:
    std::unique_ptr<ThreadLoop> loop_ = make_epoll_loop();
};

TEST_F(EpollLoopTest, TimersFireInOrderAndCancelledOnesNever) {
    std::string order;
    auto late = loop_->make_timer([&] {
        order += "late";
        loop_->stop();
    });
    auto early = loop_->make_timer([&] { order += "early "; });
    auto never = loop_->make_timer([&] { order += "never "; });
    late->start(20ms);
    early->start(5ms);
    never->start(1ms);
    never->cancel();
    const Instant begun = loop_->now();
    loop_->run();
    EXPECT_EQ(order, "early late");
    EXPECT_GE(loop_->now() - begun, 20ms);
}

TEST_F(EpollLoopTest, ATimerIsCancelledByOneThatIsDueAtTheSameTime) {
    std::string order;
    std::unique_ptr<Timer> other;
    auto first = loop_->make_timer([&] {
        order += "first ";
        other.reset();
    });
    other = loop_->make_timer([&] { order += "other "; });
    auto last = loop_->make_timer([&] { loop_->stop(); });
    first->start(Duration{});
    other->start(Duration{});
    last->start(Duration{});
    loop_->run();
    EXPECT_EQ(order, "first ");
}

TEST_F(EpollLoopTest, ATimerMayDestroyItselfInItsCallback) {
    std::unique_ptr<Timer> timer;
    timer = loop_->make_timer([&] {
        timer.reset();
        loop_->stop();
    });
    timer->start(1ms);
    loop_->run();
    EXPECT_EQ(timer, nullptr);
}

TEST_F(EpollLoopTest, ATimerThatStartsItselfLetsOthersHaveTheirTurn) {
    int rings = 0;
    bool asked = false;
    std::unique_ptr<Timer> timer;
    timer = loop_->make_timer([&] {
        if (asked) return loop_->stop();
        if (++rings == 3) loop_->post([&] { asked = true; });
        timer->start(Duration{});
    });
    timer->start(Duration{});
    loop_->run();
    EXPECT_TRUE(asked);
}

TEST_F(EpollLoopTest, AWatchIsLevelTriggeredAndMayDestroyItself) {
    Pipe pipe;
    pipe.fill("ab");
    std::string taken;
    std::unique_ptr<Watch> watch;
    watch = loop_->watch(pipe.reader(), [&](Loop::Ready ready) {
        EXPECT_TRUE(ready.readable);
        EXPECT_FALSE(ready.writable);
        taken += pipe.take();
        if (taken.size() < 2) return;
        watch.reset();
        loop_->stop();
    });
    watch->set_interest(true, false);
    loop_->run();
    EXPECT_EQ(taken, "ab");
}

TEST_F(EpollLoopTest, AWatchThatAnotherOneDestroysIsNotCalled) {
    Pipe pipes[2];
    std::unique_ptr<Watch> watches[2];
    int calls = 0;
    for (int at : {0, 1}) {
        watches[at] = loop_->watch(pipes[at].reader(), [&, at](Loop::Ready) {
            ++calls;
            watches[1 - at].reset();  // it is ready, too
            pipes[at].take();
            loop_->post([&] { loop_->post([&] { loop_->stop(); }); });
        });
        watches[at]->set_interest(true, false);
        pipes[at].fill("a");
    }
    loop_->run();
    EXPECT_EQ(calls, 1);
}

TEST_F(EpollLoopTest, InterestThatEndsAndComesBackFindsWhatIsThere) {
    Pipe pipe;
    pipe.fill("ab");
    std::string taken;
    std::unique_ptr<Watch> watch;
    auto again = loop_->make_timer([&] { watch->set_interest(true, false); });
    watch = loop_->watch(pipe.reader(), [&](Loop::Ready) {
        taken += pipe.take();
        if (taken.size() == 2) return loop_->stop();
        watch->set_interest(false, false);
        again->start(1ms);
    });
    watch->set_interest(true, false);
    loop_->run();
    EXPECT_EQ(taken, "ab");
}

std::int64_t cpu_ns() {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

// epoll reports a hang-up to everybody.
TEST_F(EpollLoopTest, APeerThatHangsUpWhereNobodyReadsKeepsNobodyBusy) {
    Pipe pipe;
    int calls = 0;
    auto watch = loop_->watch(pipe.reader(), [&](Loop::Ready) { ++calls; });
    watch->set_interest(true, false);
    watch->set_interest(false, false);
    pipe.hang_up();
    auto timer = loop_->make_timer([&] { loop_->stop(); });
    timer->start(200ms);
    const std::int64_t begun_ns = cpu_ns();
    loop_->run();
    EXPECT_EQ(calls, 0);
    EXPECT_LT(cpu_ns() - begun_ns, 50'000'000);
}

TEST_F(EpollLoopTest, APeerThatHangsUpIsToldWhoReads) {
    Pipe pipe;
    auto watch = loop_->watch(pipe.reader(), [&](Loop::Ready ready) {
        EXPECT_TRUE(ready.readable);
        loop_->stop();
    });
    watch->set_interest(true, false);
    pipe.hang_up();
    loop_->run();
}

TEST_F(EpollLoopTest, TasksOfManyThreadsRunInTheOrderOfEach) {
    constexpr int kThreads = 4;
    constexpr int kEach = 2000;
    std::vector<std::vector<int>> seen(kThreads);
    int done = 0;
    std::vector<std::thread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
        threads.emplace_back([&, thread] {
            for (int at = 0; at < kEach; ++at) {
                loop_->post([&, thread, at] {
                    seen[static_cast<std::size_t>(thread)].push_back(at);
                    if (++done == kThreads * kEach) loop_->stop();
                });
            }
        });
    }
    loop_->run();
    for (std::thread& thread : threads)
        thread.join();
    for (const std::vector<int>& of_one : seen) {
        EXPECT_EQ(of_one.size(), std::size_t{kEach});
        EXPECT_TRUE(std::is_sorted(of_one.begin(), of_one.end()));
    }
}

// Each question is asked when the loop has gone to sleep behind the last.
TEST_F(EpollLoopTest, NoWakeUpIsLost) {
    std::atomic<int> answered{0};
    std::thread other([&] {
        for (int asked = 1; asked <= 2000; ++asked) {
            loop_->post([&] { ++answered; });
            while (answered.load() != asked)
                std::this_thread::yield();
        }
        loop_->post([&] { loop_->stop(); });
    });
    loop_->run();
    other.join();
    EXPECT_EQ(answered.load(), 2000);
}

TEST_F(EpollLoopTest, WhatAnExceptionLeavesIsDoneByTheNextRun) {
    Pipe pipe;
    pipe.fill("a");
    std::string order;
    auto watch = loop_->watch(pipe.reader(), [&](Loop::Ready) {
        pipe.take();
        loop_->stop();
    });
    watch->set_interest(true, false);
    loop_->post([] { throw std::runtime_error("first"); });
    loop_->post([&] { order += "second"; });
    EXPECT_THROW(loop_->run(), std::runtime_error);
    loop_->run();
    EXPECT_EQ(order, "second");
}

TEST_F(EpollLoopTest, ADescriptorThatCannotBeWatchedIsAnError) {
    EXPECT_THROW(loop_->watch(-1, [](Loop::Ready) {}), std::system_error);
}

}  // namespace
}  // namespace segue
