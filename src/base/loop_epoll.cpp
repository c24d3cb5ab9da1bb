// SPDX-License-Identifier: LGPL-2.1-or-later
#include "base/loop_epoll.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "base/check.h"

namespace segue {
namespace {

using Tasks = std::deque<std::function<void()>>;

// More that are ready are found by the next call.
constexpr int kMostEvents = 32;
// Told once for each change, and then only what there is interest in.
constexpr std::uint32_t kNoInterest = EPOLLET;

int checked(int descriptor, const char* what) {
    if (descriptor < 0) throw std::system_error(errno, std::generic_category(), what);
    return descriptor;
}

class EpollLoop final : public ThreadLoop {
  public:
    EpollLoop();
    ~EpollLoop() override;
    EpollLoop(const EpollLoop&) = delete;
    EpollLoop& operator=(const EpollLoop&) = delete;

    const Clock& clock() const override { return clock_; }
    std::unique_ptr<Timer> make_timer(std::function<void()> on_expiry) override;
    std::unique_ptr<Watch> watch(int descriptor, std::function<void(Ready)> on_ready) override;
    void post(std::function<void()> task) override;
    void run() override;
    void stop() override { stopped_ = true; }

    // Kept while it calls back, which may destroy its timer.
    struct Expiry {
        std::function<void()> call;
        std::multimap<Instant, std::shared_ptr<Expiry>>::iterator place;
        bool is_due = false;  // and has a place
    };
    // The same of a watch. What epoll is given is the address of the watch's pointer to it.
    struct Watched {
        int descriptor = -1;
        std::function<void(Ready)> call;
        bool read = false;
        bool write = false;
    };
    void cancel(Expiry& expiry);
    void forget(const std::shared_ptr<Watched>& watched);
    bool is_mine() const {
        return runner_ == std::thread::id() || runner_ == std::this_thread::get_id();
    }

  private:
    friend class EpollTimer;
    friend class EpollWatch;
    void run_tasks();
    void run_timers();
    void run_watches();
    int wait_for_events();
    int wait(std::optional<Duration> most);

    SystemClock clock_;
    int epoll_ = -1;
    int wake_ = -1;
    std::thread::id runner_;
    bool stopped_ = false;
    bool has_nanoseconds_ = true;

    std::mutex mutex_;
    Tasks posted_;            // under the mutex
    bool is_asleep_ = false;  // under the mutex: who posts must wake it
    Tasks running_;

    std::multimap<Instant, std::shared_ptr<Expiry>> due_;
    std::array<epoll_event, kMostEvents> events_{};
    int next_event_ = 0;
    int end_of_events_ = 0;
};

// --- Timers -------------------------------------------------------------------------------------

class EpollTimer final : public Timer {
  public:
    EpollTimer(EpollLoop& loop, std::function<void()> on_expiry) : loop_(loop) {
        expiry_->call = std::move(on_expiry);
    }
    ~EpollTimer() override { cancel(); }

    void start(Duration delay) override {
        cancel();
        expiry_->place = loop_.due_.emplace(loop_.now() + delay, expiry_);
        expiry_->is_due = true;
    }
    void cancel() override { loop_.cancel(*expiry_); }

  private:
    EpollLoop& loop_;
    const std::shared_ptr<EpollLoop::Expiry> expiry_ = std::make_shared<EpollLoop::Expiry>();
};

std::unique_ptr<Timer> EpollLoop::make_timer(std::function<void()> on_expiry) {
    return std::make_unique<EpollTimer>(*this, std::move(on_expiry));
}

void EpollLoop::cancel(Expiry& expiry) {
    ASSUME(is_mine());
    if (!std::exchange(expiry.is_due, false)) return;
    due_.erase(expiry.place);
}

void EpollLoop::run_timers() {
    if (due_.empty()) return;
    const Instant now = clock_.now();
    while (!stopped_ && !due_.empty() && due_.begin()->first <= now) {
        const std::shared_ptr<Expiry> expiry = due_.begin()->second;
        cancel(*expiry);
        expiry->call();
    }
}

// --- Watches ------------------------------------------------------------------------------------

class EpollWatch final : public Watch {
  public:
    EpollWatch(EpollLoop& loop, int number, std::function<void(Loop::Ready)> call) : loop_(loop) {
        watched_->descriptor = number;
        watched_->call = std::move(call);
        control(EPOLL_CTL_ADD, kNoInterest);
    }
    ~EpollWatch() override { loop_.forget(watched_); }

    void set_interest(bool read, bool write) override {
        if (watched_->read == read && watched_->write == write) return;
        watched_->read = read;
        watched_->write = write;
        const std::uint32_t events = (read ? EPOLLIN : 0u) | (write ? EPOLLOUT : 0u);
        control(EPOLL_CTL_MOD, events == 0 ? kNoInterest : events);
    }

  private:
    void control(int operation, std::uint32_t events) {
        ASSUME(loop_.is_mine());
        epoll_event event{};
        event.events = events;
        event.data.ptr = &watched_;
        checked(::epoll_ctl(loop_.epoll_, operation, watched_->descriptor, &event), "watch");
    }

    EpollLoop& loop_;
    std::shared_ptr<EpollLoop::Watched> watched_ = std::make_shared<EpollLoop::Watched>();
};

std::unique_ptr<Watch> EpollLoop::watch(int descriptor, std::function<void(Ready)> on_ready) {
    return std::make_unique<EpollWatch>(*this, descriptor, std::move(on_ready));
}

// What was reported of it and not yet told is told nobody.
void EpollLoop::forget(const std::shared_ptr<Watched>& watched) {
    ASSUME(is_mine());
    epoll_event none{};
    ::epoll_ctl(epoll_, EPOLL_CTL_DEL, watched->descriptor, &none);
    for (int at = next_event_; at < end_of_events_; ++at) {
        if (events_[at].data.ptr == &watched) events_[at].data.ptr = nullptr;
    }
}

void EpollLoop::run_watches() {
    while (!stopped_ && next_event_ < end_of_events_) {
        const epoll_event& event = events_[next_event_++];
        if (event.data.ptr == nullptr) continue;
        const std::shared_ptr<Watched> watched =
            *static_cast<const std::shared_ptr<Watched>*>(event.data.ptr);
        // A descriptor that failed tells who reads or writes.
        const bool has_failed = (event.events & (EPOLLERR | EPOLLHUP)) != 0;
        const Ready ready{
            .readable = watched->read && (has_failed || (event.events & EPOLLIN) != 0),
            .writable = watched->write && (has_failed || (event.events & EPOLLOUT) != 0)};
        if (ready.readable || ready.writable) watched->call(ready);
    }
    end_of_events_ = 0;  // what a stop has left is reported again
    next_event_ = 0;
}

// --- The loop -----------------------------------------------------------------------------------

EpollLoop::EpollLoop() {
    epoll_ = checked(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    // Each write is told once, and nobody need read it.
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;
    if (wake_ >= 0 && ::epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_, &event) == 0) return;
    const int error = errno;
    if (wake_ >= 0) ::close(wake_);
    ::close(epoll_);
    throw std::system_error(error, std::generic_category(), "eventfd");
}

EpollLoop::~EpollLoop() {
    ::close(wake_);
    ::close(epoll_);
}

void EpollLoop::post(std::function<void()> task) {
    bool wakes = false;
    {
        const std::lock_guard lock(mutex_);
        posted_.push_back(std::move(task));
        wakes = std::exchange(is_asleep_, false);
    }
    if (!wakes) return;
    // Only a counter that is full refuses, and that is a wake-up under way.
    const std::uint64_t one = 1;
    std::ignore = ::write(wake_, &one, sizeof one);
}

void EpollLoop::run() {
    struct Running {
        explicit Running(EpollLoop& loop) : loop_(loop) {
            loop_.runner_ = std::this_thread::get_id();
            loop_.stopped_ = false;
        }
        ~Running() { loop_.runner_ = {}; }
        EpollLoop& loop_;
    } running(*this);
    while (!stopped_) {
        run_watches();
        run_timers();
        run_tasks();
        if (!stopped_) end_of_events_ = wait_for_events();
    }
}

// What they post has its turn behind the watches and the timers.
void EpollLoop::run_tasks() {
    if (running_.empty()) {
        const std::lock_guard lock(mutex_);
        running_.swap(posted_);
    }
    while (!stopped_ && !running_.empty()) {
        const std::function<void()> task = std::move(running_.front());
        running_.pop_front();
        task();
    }
}

int EpollLoop::wait_for_events() {
    std::optional<Duration> most;
    if (!due_.empty()) most = std::max(Duration{}, due_.begin()->first - clock_.now());
    {
        const std::lock_guard lock(mutex_);
        if (!running_.empty() || !posted_.empty()) {
            most = Duration{};
        } else {
            is_asleep_ = true;
        }
    }
    const int found = wait(most);
    const std::lock_guard lock(mutex_);
    is_asleep_ = false;
    return std::max(0, found);
}

int EpollLoop::wait(std::optional<Duration> most) {
    if (has_nanoseconds_) {
        timespec time{};
        if (most) {
            time.tv_sec = std::chrono::duration_cast<std::chrono::seconds>(*most).count();
            time.tv_nsec = (*most % 1s).count();
        }
        const int found =
            ::epoll_pwait2(epoll_, events_.data(), kMostEvents, most ? &time : nullptr, nullptr);
        // A kernel before 5.11, or a sandbox that does not know it.
        if (found >= 0 || (errno != ENOSYS && errno != EPERM)) return found;
        has_nanoseconds_ = false;
    }
    constexpr std::int64_t kMost_ms = 1 << 30;
    const auto ms =
        most ? std::min(kMost_ms, std::chrono::ceil<std::chrono::milliseconds>(*most).count()) : -1;
    return ::epoll_wait(epoll_, events_.data(), kMostEvents, static_cast<int>(ms));
}

}  // namespace

std::unique_ptr<ThreadLoop> make_epoll_loop() {
    return std::make_unique<EpollLoop>();
}

}  // namespace segue
