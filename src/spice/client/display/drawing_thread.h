// SPDX-License-Identifier: LGPL-2.1-or-later
// The thread on which one session decodes and draws, so that neither ever delays an answer to the
// server.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace segue::spice::client {

// Where drawing jobs go: a thread, or (in tests and fuzzers) the caller itself.
class DrawingQueue {
  public:
    virtual ~DrawingQueue() = default;
    // Jobs run in the order of the calls.
    virtual void post(std::function<void()> job) = 0;
};

class InlineDrawing final : public DrawingQueue {
  public:
    void post(std::function<void()> job) override { job(); }
};

class DrawingThread final : public DrawingQueue {
  public:
    DrawingThread();
    // Waits for the job that runs; those behind it are dropped.
    ~DrawingThread() override;
    void post(std::function<void()> job) override;

  private:
    void run();

    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<std::function<void()>> jobs_;
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace segue::spice::client
