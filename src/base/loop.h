// SPDX-License-Identifier: LGPL-2.1-or-later
// Loop: the seam between our code and whoever owns the thread. Three implementations: Asio (daemons
// and tools), QEMU's SpiceCoreInterface (inside QEMU), the simulator. Callbacks run on the loop's
// thread; only post() may be called from another one.
#pragma once

#include <functional>
#include <memory>

#include "base/time.h"

namespace segue {

// One-shot. Destroying it cancels it; after cancel() or destruction the callback does not run.
class Timer {
  public:
    virtual ~Timer() = default;
    // Replaces an earlier start.
    virtual void start(Duration delay) = 0;
    virtual void cancel() = 0;
};

// Level-triggered readiness of a descriptor that the caller owns and closes after the watch is
// gone.
class Watch {
  public:
    virtual ~Watch() = default;
    virtual void set_interest(bool read, bool write) = 0;
};

class Loop {
  public:
    struct Ready {
        bool readable = false;
        bool writable = false;
    };

    virtual ~Loop() = default;
    virtual const Clock& clock() const = 0;
    virtual std::unique_ptr<Timer> make_timer(std::function<void()> on_expiry) = 0;
    virtual std::unique_ptr<Watch> watch(int descriptor, std::function<void(Ready)> on_ready) = 0;
    // Runs the task on the loop's thread, after the current callback. Safe from any thread.
    virtual void post(std::function<void()> task) = 0;

    Instant now() const { return clock().now(); }
};

// A loop that a program runs itself.
class RunLoop : public Loop {
  public:
    virtual void run() = 0;
    virtual void stop() = 0;
    // Calls back on the loop's thread for each of these signals.
    virtual void on_signal(int signal_number, std::function<void()> callback) = 0;
};

std::unique_ptr<RunLoop> make_asio_loop();

}  // namespace segue
