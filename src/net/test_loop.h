// SPDX-License-Identifier: LGPL-2.1-or-later
// For tests: a real loop that runs until a condition holds, and fails the wait after a bound.
#pragma once

#include <functional>
#include <memory>

#include "base/loop.h"

namespace segue::net {

class TestLoop {
  public:
    Loop& operator*() { return *loop_; }
    RunLoop& owned() { return *loop_; }

    // True when the condition came true within `patience`.
    bool run_until(const std::function<bool()>& condition, Duration patience = 60s) {
        if (condition()) return true;
        bool expired = false;
        auto deadline = loop_->make_timer([&] {
            expired = true;
            loop_->stop();
        });
        deadline->start(patience);
        std::function<void()> look;
        auto tick = loop_->make_timer([&] { look(); });
        look = [&] {
            if (condition()) return loop_->stop();
            tick->start(500us);
        };
        tick->start(0ms);
        loop_->run();
        return !expired || condition();
    }
    void run_for(Duration duration) {
        run_until([] { return false; }, duration);
    }

  private:
    std::unique_ptr<RunLoop> loop_ = make_asio_loop();
};

}  // namespace segue::net
