// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/abi/core_loop.h"

#include <sys/eventfd.h>

#include <cerrno>

#include "spice/abi/guard.h"

namespace segue::spice::abi {
namespace {

class CoreTimer final : public Timer {
  public:
    CoreTimer(const SpiceCoreInterface& core, std::function<void()> on_expiry)
        : core_(core), on_expiry_(std::move(on_expiry)) {
        timer_ = core_.timer_add(&CoreTimer::expired, this);
    }
    ~CoreTimer() override {
        if (timer_ != nullptr) core_.timer_remove(timer_);
    }
    void start(Duration delay) override {
        // Never early: the embedder counts milliseconds.
        const std::int64_t ms = to_ms(delay + 999'999ns);
        if (timer_ != nullptr) core_.timer_start(timer_, static_cast<std::uint32_t>(ms));
    }
    void cancel() override {
        if (timer_ != nullptr) core_.timer_cancel(timer_);
    }

  private:
    static void expired(void* opaque) {
        guarded("timer", [&] {
            // The callback may destroy this timer.
            const auto on_expiry = static_cast<CoreTimer*>(opaque)->on_expiry_;
            on_expiry();
        });
    }

    const SpiceCoreInterface& core_;
    std::function<void()> on_expiry_;
    SpiceTimer* timer_ = nullptr;
};

// The embedder knows one watch per descriptor; it is made when there is interest for the first
// time.
class CoreWatch final : public Watch {
  public:
    CoreWatch(const SpiceCoreInterface& core, int descriptor,
              std::function<void(Loop::Ready)> on_ready)
        : core_(core), descriptor_(descriptor), on_ready_(std::move(on_ready)) {}
    ~CoreWatch() override {
        if (watch_ != nullptr) core_.watch_remove(watch_);
    }
    void set_interest(bool read, bool write) override {
        const int mask =
            (read ? SPICE_WATCH_EVENT_READ : 0) | (write ? SPICE_WATCH_EVENT_WRITE : 0);
        if (mask == mask_) return;
        mask_ = mask;
        if (watch_ != nullptr) {
            core_.watch_update_mask(watch_, mask);
        } else if (mask != 0) {
            watch_ = core_.watch_add(descriptor_, mask, &CoreWatch::ready, this);
        }
    }

  private:
    static void ready(int, int event, void* opaque) {
        guarded("watch", [&] {
            const auto on_ready = static_cast<CoreWatch*>(opaque)->on_ready_;
            on_ready({.readable = (event & SPICE_WATCH_EVENT_READ) != 0,
                      .writable = (event & SPICE_WATCH_EVENT_WRITE) != 0});
        });
    }

    const SpiceCoreInterface& core_;
    int descriptor_;
    std::function<void(Loop::Ready)> on_ready_;
    SpiceWatch* watch_ = nullptr;
    int mask_ = 0;
};

}  // namespace

Result<std::unique_ptr<CoreLoop>> CoreLoop::make(const SpiceCoreInterface& core) {
    if (core.base.major_version != SPICE_INTERFACE_CORE_MAJOR || core.timer_add == nullptr ||
        core.timer_start == nullptr || core.timer_cancel == nullptr ||
        core.timer_remove == nullptr || core.watch_add == nullptr ||
        core.watch_update_mask == nullptr || core.watch_remove == nullptr) {
        return fail(ErrorCode::invalid_argument,
                    "core interface of version {}: version {} with timers and watches is needed",
                    core.base.major_version, SPICE_INTERFACE_CORE_MAJOR);
    }
    net::Descriptor wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake) return fail_errno("create", "an eventfd", errno);
    return std::unique_ptr<CoreLoop>(new CoreLoop(core, std::move(wake)));
}

CoreLoop::CoreLoop(const SpiceCoreInterface& core, net::Descriptor wake)
    : core_(core), wake_(std::move(wake)) {
    wake_watch_ = core_.watch_add(wake_.get(), SPICE_WATCH_EVENT_READ, &CoreLoop::on_wake, this);
}

CoreLoop::~CoreLoop() {
    if (wake_watch_ != nullptr) core_.watch_remove(wake_watch_);
}

std::unique_ptr<Timer> CoreLoop::make_timer(std::function<void()> on_expiry) {
    return std::make_unique<CoreTimer>(core_, std::move(on_expiry));
}

std::unique_ptr<Watch> CoreLoop::watch(int descriptor, std::function<void(Ready)> on_ready) {
    return std::make_unique<CoreWatch>(core_, descriptor, std::move(on_ready));
}

void CoreLoop::post(std::function<void()> task) {
    {
        const std::lock_guard lock(mutex_);
        tasks_.push_back(std::move(task));
    }
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof one);
}

void CoreLoop::on_wake(int, int, void* opaque) {
    guarded("posted task", [&] { static_cast<CoreLoop*>(opaque)->run_tasks(); });
}

// Only what was there at the start: a task that posts another one does not keep the embedder here.
void CoreLoop::run_tasks() {
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t got = ::read(wake_.get(), &count, sizeof count);
    std::vector<std::function<void()>> tasks;
    {
        const std::lock_guard lock(mutex_);
        tasks.swap(tasks_);
    }
    for (const std::function<void()>& task : tasks)
        guarded("posted task", task);
}

}  // namespace segue::spice::abi
