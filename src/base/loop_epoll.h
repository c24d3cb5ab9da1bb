// SPDX-License-Identifier: LGPL-2.1-or-later
// A loop for a thread of ours that is woken often and does little each time: whoever posts to it
// holds no lock while it wakes, and a descriptor that stays of interest costs no system call.
#pragma once

#include <memory>

#include "base/loop.h"

namespace segue {

// Its timers and watches belong to the thread that runs it, also while they are made and destroyed;
// before it runs and when it has ended, to anybody.
class ThreadLoop : public Loop {
  public:
    // Ends with stop(), or with the exception of a callback; may run again.
    virtual void run() = 0;
    // On the loop's thread.
    virtual void stop() = 0;
};

// Throws std::system_error where the host has no descriptors left; so does its watch().
std::unique_ptr<ThreadLoop> make_epoll_loop();

}  // namespace segue
