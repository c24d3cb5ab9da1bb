// SPDX-License-Identifier: LGPL-2.1-or-later
// For tests: loops whose common clock moves only when none of them has anything to do, so that days
// pass in seconds. Threads and sockets are real; every end of every socket is in one of the loops.
#pragma once

#include <poll.h>

#include <condition_variable>
#include <deque>
#include <list>
#include <map>
#include <mutex>
#include <set>

#include "base/loop.h"

namespace segue::spice::server {

class VirtualLoop;

class VirtualTime final : private Clock {
  public:
    std::unique_ptr<RunLoop> make_loop();
    const Clock& clock() const { return *this; }
    // On the thread of `home`, which is run here; the others are run by their own threads.
    void run_for(VirtualLoop& home, Duration duration);

    // What the loops have done and have yet to do.
    std::uint64_t timers_rung() const { return timers_rung_; }
    std::size_t timers_set() const;

  private:
    friend class VirtualLoop;

    Instant now() const override {
        const std::lock_guard lock(mutex_);
        return now_;
    }
    std::chrono::system_clock::time_point wall() const override {
        return std::chrono::system_clock::time_point(
            std::chrono::duration_cast<std::chrono::system_clock::duration>(now().since_start));
    }
    void settle(VirtualLoop& home);

    // Guards the loops' lists, too.
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    Instant now_{1s};
    std::set<VirtualLoop*> loops_;
    std::uint64_t timers_rung_ = 0;
};

class VirtualLoop final : public RunLoop {
  public:
    explicit VirtualLoop(VirtualTime& time) : time_(time) {
        const std::lock_guard lock(time_.mutex_);
        time_.loops_.insert(this);
    }
    ~VirtualLoop() override {
        const std::lock_guard lock(time_.mutex_);
        time_.loops_.erase(this);
    }

    const Clock& clock() const override { return time_.clock(); }
    std::unique_ptr<Timer> make_timer(std::function<void()> on_expiry) override {
        return std::make_unique<VirtualTimer>(*this, std::move(on_expiry));
    }
    std::unique_ptr<Watch> watch(int descriptor, std::function<void(Ready)> on_ready) override {
        return std::make_unique<VirtualWatch>(*this, descriptor, std::move(on_ready));
    }
    void post(std::function<void()> task) override {
        const std::lock_guard lock(time_.mutex_);
        tasks_.push_back(std::move(task));
        time_.changed_.notify_all();
    }
    void run() override {
        std::unique_lock lock(time_.mutex_);
        for (stopped_ = false; !stopped_;) {
            if (!run_one(lock)) time_.changed_.wait(lock);
        }
    }
    void stop() override { stopped_ = true; }
    void on_signal(int, std::function<void()>) override {}

  private:
    friend class VirtualTime;
    struct Watched {
        int descriptor = -1;
        std::function<void(Ready)> on_ready;
        bool read = false, write = false;
    };

    class VirtualTimer final : public Timer {
      public:
        VirtualTimer(VirtualLoop& loop, std::function<void()> on_expiry)
            : loop_(loop), on_expiry_(std::move(on_expiry)) {}
        ~VirtualTimer() override { cancel(); }
        void start(Duration delay) override {
            cancel();
            const std::lock_guard lock(loop_.time_.mutex_);
            set_ = loop_.timers_.emplace(loop_.time_.now_ + delay, this);
            is_set_ = true;
            loop_.time_.changed_.notify_all();
        }
        void cancel() override {
            const std::lock_guard lock(loop_.time_.mutex_);
            if (std::exchange(is_set_, false)) loop_.timers_.erase(set_);
        }

      private:
        friend class VirtualLoop;
        VirtualLoop& loop_;
        std::function<void()> on_expiry_;
        std::multimap<Instant, VirtualTimer*>::iterator set_;
        bool is_set_ = false;
    };

    class VirtualWatch final : public Watch {
      public:
        VirtualWatch(VirtualLoop& loop, int descriptor, std::function<void(Ready)> on_ready)
            : loop_(loop), watched_(std::make_shared<Watched>()) {
            watched_->descriptor = descriptor;
            watched_->on_ready = std::move(on_ready);
            const std::lock_guard lock(loop_.time_.mutex_);
            at_ = loop_.watches_.insert(loop_.watches_.end(), watched_);
        }
        ~VirtualWatch() override {
            const std::lock_guard lock(loop_.time_.mutex_);
            loop_.watches_.erase(at_);
        }
        void set_interest(bool read, bool write) override {
            const std::lock_guard lock(loop_.time_.mutex_);
            watched_->read = read;
            watched_->write = write;
            loop_.time_.changed_.notify_all();
        }

      private:
        VirtualLoop& loop_;
        const std::shared_ptr<Watched> watched_;
        std::list<std::shared_ptr<Watched>>::iterator at_;
    };

    // All with the lock held, which run_one() lets go of for what it runs.
    bool is_due() const { return !timers_.empty() && timers_.begin()->first <= time_.now_; }
    bool has_work() const { return is_busy_ || !tasks_.empty() || is_due() || ready().first; }
    std::pair<std::shared_ptr<Watched>, Ready> ready() const {
        for (const std::shared_ptr<Watched>& watched : watches_) {
            pollfd state{
                watched->descriptor,
                static_cast<short>((watched->read ? POLLIN : 0) | (watched->write ? POLLOUT : 0)),
                0};
            if (state.events == 0 || ::poll(&state, 1, 0) <= 0) continue;
            const bool over = (state.revents & (POLLERR | POLLHUP)) != 0;
            const Ready now{.readable = watched->read && (over || (state.revents & POLLIN) != 0),
                            .writable = watched->write && (over || (state.revents & POLLOUT) != 0)};
            if (now.readable || now.writable) return {watched, now};
        }
        return {};
    }
    bool run_one(std::unique_lock<std::mutex>& lock) {
        std::function<void()> work;
        if (!tasks_.empty()) {
            work = std::move(tasks_.front());
            tasks_.pop_front();
        } else if (is_due()) {
            VirtualTimer& timer = *timers_.begin()->second;
            timers_.erase(timers_.begin());
            timer.is_set_ = false;
            ++time_.timers_rung_;
            work = timer.on_expiry_;
        } else if (auto [watched, how] = ready(); watched) {
            // It may go while it runs.
            work = [on_ready = watched->on_ready, state = how] { on_ready(state); };
        } else {
            return false;
        }
        is_busy_ = true;
        lock.unlock();
        work();
        work = nullptr;
        lock.lock();
        is_busy_ = false;
        time_.changed_.notify_all();
        return true;
    }

    VirtualTime& time_;
    std::deque<std::function<void()>> tasks_;
    std::multimap<Instant, VirtualTimer*> timers_;
    std::list<std::shared_ptr<Watched>> watches_;
    bool is_busy_ = false;
    bool stopped_ = false;  // of the thread that runs it
};

inline std::unique_ptr<RunLoop> VirtualTime::make_loop() {
    return std::make_unique<VirtualLoop>(*this);
}

inline std::size_t VirtualTime::timers_set() const {
    const std::lock_guard lock(mutex_);
    std::size_t count = 0;
    for (const VirtualLoop* loop : loops_)
        count += loop->timers_.size();
    return count;
}

// Until no loop has anything to do. Who writes into a socket wakes nobody: that is seen here.
inline void VirtualTime::settle(VirtualLoop& home) {
    std::unique_lock lock(mutex_);
    for (;;) {
        if (home.run_one(lock)) continue;
        bool is_quiet = true;
        for (const VirtualLoop* loop : loops_)
            is_quiet = is_quiet && !loop->has_work();
        if (is_quiet) return;
        changed_.notify_all();
        changed_.wait(lock);
    }
}

inline void VirtualTime::run_for(VirtualLoop& home, Duration duration) {
    const Instant end = now() + duration;
    for (settle(home);; settle(home)) {
        const std::lock_guard lock(mutex_);
        Instant next = end;
        for (const VirtualLoop* loop : loops_) {
            if (!loop->timers_.empty()) next = std::min(next, loop->timers_.begin()->first);
        }
        if (now_ == end) return;
        now_ = std::max(now_, next);
        changed_.notify_all();
    }
}

}  // namespace segue::spice::server
