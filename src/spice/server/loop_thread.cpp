// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/loop_thread.h"

#include <pthread.h>
#include <signal.h>

#include <condition_variable>
#include <exception>
#include <mutex>
#include <system_error>

#include "base/log.h"

namespace segue::spice::server {
namespace {

// Where memory is short, to say so may fail, too.
void log_failure(const char* what, const std::exception& failure) noexcept {
    try {
        log_error("spice", "{}: {}", what, failure.what());
    } catch (const std::exception&) {
    }
}

}  // namespace

LoopThread::LoopThread(const LoopMaker& make_loop) : loop_(make_loop()) {}

LoopThread::~LoopThread() {
    stop();
}

Result<> LoopThread::start(const char* name) {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = 0;
    try {
        thread_ = std::thread([this] { run(); });
        pthread_setname_np(thread_.native_handle(), name);
    } catch (const std::system_error& failure) {
        error = failure.code().value();
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (error != 0) return fail_errno("start thread", name, error);
    return {};
}

// An exception that reaches this frame cost the callback that threw it, not the process.
void LoopThread::run() {
    while (!stopping_) {
        try {
            loop_->run();
        } catch (const std::exception& failure) {
            log_failure("a callback of a server thread failed", failure);
        }
    }
}

void LoopThread::stop() {
    if (!thread_.joinable()) return;
    loop_->post([this] {
        stopping_ = true;
        loop_->stop();
    });
    thread_.join();
}

void LoopThread::call(const std::function<void()>& task) {
    if (!thread_.joinable() || is_current()) {
        task();
        return;
    }
    std::mutex mutex;
    std::condition_variable done_changed;
    bool done = false;
    ++callers_;
    loop_->post([&] {
        try {
            task();
        } catch (const std::exception& failure) {
            log_failure("a synchronous task failed", failure);
        }
        // Notified under the lock: the waiter's frame, which holds all three, ends right after.
        const std::lock_guard lock(mutex);
        done = true;
        done_changed.notify_one();
    });
    std::unique_lock lock(mutex);
    done_changed.wait(lock, [&] { return done; });
    --callers_;
}

}  // namespace segue::spice::server
