// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/client/display/drawing_thread.h"

namespace segue::spice::client {

DrawingThread::DrawingThread() : thread_([this] { run(); }) {}

DrawingThread::~DrawingThread() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
}

void DrawingThread::post(std::function<void()> job) {
    bool was_empty;
    {
        const std::lock_guard lock(mutex_);
        was_empty = jobs_.empty();
        jobs_.push_back(std::move(job));
    }
    if (was_empty) wake_.notify_one();
}

void DrawingThread::run() {
    std::deque<std::function<void()>> batch;
    for (;;) {
        {
            std::unique_lock lock(mutex_);
            wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
            if (stopping_) return;
            batch.swap(jobs_);
        }
        while (!batch.empty()) {
            batch.front()();
            batch.pop_front();
            const std::lock_guard lock(mutex_);
            if (stopping_) return;
        }
    }
}

}  // namespace segue::spice::client
