// SPDX-License-Identifier: LGPL-2.1-or-later
#include "standby/worker.h"

namespace segue::standby {

Worker::Worker(Loop& loop) : loop_(loop), thread_([this] { work(); }) {}

Worker::~Worker() {
    alive_.reset();
    {
        const std::lock_guard lock(mutex_);
        ending_ = true;
    }
    changed_.notify_one();
    thread_.join();
}

void Worker::run(Job job, Done done) {
    {
        const std::lock_guard lock(mutex_);
        tasks_.push_back({std::move(job), std::move(done)});
    }
    changed_.notify_one();
}

void Worker::work() {
    const std::weak_ptr<bool> alive = alive_;
    for (;;) {
        Task task;
        {
            std::unique_lock lock(mutex_);
            changed_.wait(lock, [this] { return ending_ || !tasks_.empty(); });
            if (tasks_.empty()) return;
            task = std::move(tasks_.front());
            tasks_.pop_front();
        }
        Result<> result = task.job();
        loop_.post([alive, done = std::move(task.done), result = std::move(result)] {
            if (!alive.expired() && done) done(result);
        });
    }
}

}  // namespace segue::standby
