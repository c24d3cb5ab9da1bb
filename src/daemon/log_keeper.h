// SPDX-License-Identifier: LGPL-2.1-or-later
// Bounds what QEMU and the helpers beside it say on their standard error: a guest can make QEMU
// complain without end, and the state directory is everybody's.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "base/loop.h"

namespace segue {

// QEMU outlives the daemon, so it writes into a file and not into a pipe of ours. That file is cut
// from time to time; between two looks it may be longer than allowed.
class LogKeeper {
  public:
    struct Limits {
        std::size_t most = 4U << 20;
        std::size_t kept = 64U << 10;  // of a log that was longer
        Duration every = 2s;
    };

    LogKeeper(Loop& loop, std::string state, Limits limits);
    LogKeeper(Loop& loop, std::string state) : LogKeeper(loop, std::move(state), Limits()) {}

  private:
    void look();

    std::string state_;
    Limits limits_;
    std::unique_ptr<Timer> timer_;
};

}  // namespace segue
