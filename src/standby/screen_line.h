// SPDX-License-Identifier: LGPL-2.1-or-later
// The agent's end of the SPICE control socket of its QEMU (spice/control/screen_word.h): what
// clients see and hear waits there until the standby has committed the epoch that it belongs to.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/loop.h"
#include "net/connect.h"
#include "net/connection.h"
#include "net/resolve.h"
#include "spice/control/line_reader.h"
#include "spice/control/screen_word.h"

namespace segue::standby {

class ScreenLine {
  public:
    // Called from the loop, never from inside a call of this object; none behind `failed`.
    struct Handlers {
        // Nothing leaves any more that is not released.
        std::function<void()> held;
        // No server of ours is there, or it does not answer, or it is gone.
        std::function<void(const std::string& reason)> failed;
    };

    ScreenLine(Loop& loop, net::Resolver& resolver, const std::string& path, Handlers handlers);

    // Answered by `held` or `failed` within a bound. `picture_passes`: all but display, pointer and
    // sound is held.
    void hold(bool picture_passes);
    bool is_holding() const { return is_holding_; }
    // What was sent before the machine stood still then.
    void release(Instant until);
    // Nothing waits any more.
    void pass();
    // Messages that wait, as the server has said last.
    std::uint64_t waiting() const { return waiting_; }

  private:
    void open(net::Descriptor socket);
    void tell(const spice::control::ScreenWord& word);
    void take(const std::string& line);
    void fail_with(const std::string& reason);

    Loop& loop_;
    Handlers handlers_;
    spice::control::LineReader reader_;
    std::unique_ptr<net::Connector> connector_;
    std::unique_ptr<net::Connection> connection_;
    std::unique_ptr<Timer> bound_;
    bool wants_hold_ = false, is_holding_ = false, picture_passes_ = false;
    std::uint64_t waiting_ = 0;
};

}  // namespace segue::standby
