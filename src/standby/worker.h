// SPDX-License-Identifier: LGPL-2.1-or-later
// One thread for what may block (syncing disks); results come back on the loop, in order.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "base/loop.h"
#include "base/result.h"

namespace segue::standby {

class Worker {
  public:
    using Job = std::function<Result<>()>;
    using Done = std::function<void(Result<>)>;

    explicit Worker(Loop& loop);
    // Finishes the jobs that wait; their `done` is not called any more.
    ~Worker();
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    void run(Job job, Done done);

  private:
    struct Task {
        Job job;
        Done done;
    };
    void work();

    Loop& loop_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Task> tasks_;
    bool ending_ = false;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
    std::thread thread_;
};

}  // namespace segue::standby
