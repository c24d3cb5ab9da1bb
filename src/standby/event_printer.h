// SPDX-License-Identifier: LGPL-2.1-or-later
// One JSON object per line on standard output. A reader that is slow, or gone, never holds up a
// checkpoint: lines wait in a queue of their own thread, and beyond its limit are dropped.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>

#include "base/json.h"

namespace segue::standby {

class EventPrinter {
  public:
    explicit EventPrinter(int descriptor);
    // Waits a moment for the lines that are left.
    ~EventPrinter();

    void print(const Json& event);

    static constexpr std::size_t kMaxWaiting = 65536;

  private:
    void run();

    int descriptor_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::string> waiting_;
    bool ending_ = false;
    std::thread thread_;
};

}  // namespace segue::standby
