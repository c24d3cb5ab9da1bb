// SPDX-License-Identifier: LGPL-2.1-or-later
// A thread that runs one loop: the I/O thread of a server, the worker of a display device.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <thread>

#include "base/loop.h"
#include "base/result.h"

namespace segue::spice::server {

// What the threads of a server run on: the real loop, or one of a test's.
using LoopMaker = std::function<std::unique_ptr<RunLoop>()>;

class LoopThread {
  public:
    explicit LoopThread(const LoopMaker& make_loop = make_asio_loop);
    // Stops the loop after its current callback, and joins.
    ~LoopThread();
    LoopThread(const LoopThread&) = delete;
    LoopThread& operator=(const LoopThread&) = delete;

    // Starts the thread under this name (at most 15 characters). All signals are blocked in it:
    // those of the process belong to the embedder's own threads.
    Result<> start(const char* name);
    // Ends the thread; what is posted later runs no more.
    void stop();

    Loop& loop() { return *loop_; }
    void post(std::function<void()> task) { loop_->post(std::move(task)); }
    // Runs the task on the thread and waits until it is done. The task must not wait for the
    // caller's thread. Runs it here when the thread is not running.
    void call(const std::function<void()>& task);
    // Somebody waits in call(): what would keep the thread for long had better be put off.
    bool is_awaited() const { return callers_.load() > 0; }
    bool is_current() const { return std::this_thread::get_id() == thread_.get_id(); }

  private:
    void run();

    std::unique_ptr<RunLoop> loop_;
    bool stopping_ = false;  // of the thread
    std::atomic<int> callers_{0};
    std::thread thread_;
};

}  // namespace segue::spice::server
