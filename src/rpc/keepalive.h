// SPDX-License-Identifier: LGPL-2.1-or-later
// Asks a silent peer whether it is there, and declares it lost after so many unanswered questions.
#pragma once

#include <functional>
#include <memory>

#include "base/loop.h"

namespace segue::rpc {

struct KeepAliveRule {
    Duration interval{5s};  // 0: never ask
    int count = 5;          // lost after interval * (count + 1) of silence
};

class KeepAlive {
  public:
    // Both callbacks come from the loop; `on_lost` may destroy this object.
    KeepAlive(Loop& loop, KeepAliveRule rule, std::function<void()> send_ping,
              std::function<void(const std::string& reason)> on_lost);

    void start();
    // Anything that arrived shows that the peer is there. Cheap: no timer is touched.
    void heard() {
        last_heard_ = loop_.now();
        unanswered_ = 0;
    }
    // While we do not read, the peer's silence means nothing.
    void set_listening(bool listening);

  private:
    void on_timer();

    Loop& loop_;
    KeepAliveRule rule_;
    std::function<void()> send_ping_;
    std::function<void(const std::string&)> on_lost_;
    Instant last_heard_;
    int unanswered_ = 0;
    bool listening_ = true;
    std::unique_ptr<Timer> timer_;
};

}  // namespace segue::rpc
