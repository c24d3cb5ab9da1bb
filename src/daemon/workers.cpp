// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/workers.h"

#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "base/log.h"

namespace segue {

// Outlives the daemon while a thread is held up.
struct Workers::Shared : std::enable_shared_from_this<Workers::Shared> {
    struct Task {
        std::uint64_t number = 0;
        std::function<void()> work;
    };

    Workers* owner = nullptr;  // the loop's thread asks, and clears it

    std::mutex mutex;      // of all that follows
    Loop* loop = nullptr;  // null when nobody wants to know any more
    std::deque<Task> waiting;
    std::size_t threads = 0;

    // On a thread of its own, until nothing waits.
    void serve() {
        while (true) {
            Task task;
            {
                const std::lock_guard lock(mutex);
                if (waiting.empty()) {
                    --threads;
                    return;
                }
                task = std::move(waiting.front());
                waiting.pop_front();
            }
            task.work();
            const std::lock_guard lock(mutex);
            if (loop == nullptr) continue;
            loop->post([self = shared_from_this(), number = task.number] { self->done(number); });
        }
    }

    void done(std::uint64_t number) {
        if (owner == nullptr) return;
        const auto found = owner->done_.extract(number);
        found.mapped()();
    }
};

Workers::Workers(Loop& loop) : shared_(std::make_shared<Shared>()) {
    shared_->owner = this;
    shared_->loop = &loop;
}

Workers::~Workers() {
    shared_->owner = nullptr;
    const std::lock_guard lock(shared_->mutex);
    shared_->loop = nullptr;
    shared_->waiting.clear();
}

void Workers::run(std::function<void()> work, std::function<void()> done) {
    done_.emplace(++last_, std::move(done));
    {
        const std::lock_guard lock(shared_->mutex);
        shared_->waiting.push_back({last_, std::move(work)});
        if (shared_->threads == kMaxThreads) return;
        ++shared_->threads;
    }
    try {
        std::thread([shared = shared_] { shared->serve(); }).detach();
    } catch (const std::system_error& error) {
        // One that is there, or the next one that starts, takes it along.
        log_error("daemon", "cannot start a thread: {}", error.what());
        const std::lock_guard lock(shared_->mutex);
        --shared_->threads;
    }
}

}  // namespace segue
