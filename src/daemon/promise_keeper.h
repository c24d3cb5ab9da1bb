// SPDX-License-Identifier: LGPL-2.1-or-later
// Forgets promises of destinations that no source has come back for: after a month, and the oldest
// of more than a host keeps. A source that asks for one of these later hears that it is not known:
// its guest stays paused until an operator decides, so nothing runs twice.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "base/loop.h"
#include "migrate/destination.h"
#include "migrate/record.h"
#include "store/store.h"

namespace segue {

// A destination whose job is over: only its promise is kept.
bool is_promise(const migrate::Record& record);

class PromiseKeeper {
  public:
    struct Limits {
        Duration kept = migrate::DestinationMachine::kPromiseKept;
        std::size_t most = 4096;
        Duration every = std::chrono::minutes(10);
    };
    // False: it is in use right now, and is kept.
    using Forget = std::function<bool(const migrate::Record&)>;

    PromiseKeeper(Loop& loop, storage::Store& store, Forget forget, Limits limits);
    PromiseKeeper(Loop& loop, storage::Store& store, Forget forget)
        : PromiseKeeper(loop, store, std::move(forget), Limits()) {}

  private:
    void look();

    Loop& loop_;
    storage::Store& store_;
    Forget forget_;
    Limits limits_;
    std::unique_ptr<Timer> timer_;
};

}  // namespace segue
