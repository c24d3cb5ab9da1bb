// SPDX-License-Identifier: LGPL-2.1-or-later
// While a machine is protected, what its clients see and hear may have to wait until the checkpoint
// that knows of it is committed (control/screen_word.h): everything, or all but the picture, which
// a failover may take back before the user's eyes. Whoever makes checkpoints on this host names the
// moment in which the machine stood still for one: everything that was sent up to then is of a
// state that the checkpoint holds. Shared by the channels of a server, on all of its threads.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/time.h"
#include "spice/control/screen_word.h"

namespace segue::spice::server {

class OutputGate {
  public:
    // The clock outlives the gate, and is this host's: others say times of it.
    explicit OutputGate(const Clock& clock) : clock_(clock) {}

    // `picture`: display, pointer, sound and lights; else what the guest's devices say.
    bool holds(bool picture) const { return picture ? holds_picture_ : holds_; }
    // When what is sent now was made: a machine that stands still has made it before it stopped.
    Instant made() const {
        const Duration still_since{still_since_ns_.load()};
        return still_since == Duration::zero() ? clock_.now() : Instant{still_since};
    }
    bool may_leave(bool picture, Instant made) const {
        return !holds(picture) || made.since_start.count() <= released_until_ns_;
    }

    control::ScreenAnswer obey(const control::ScreenWord& word);

    // Before a guest executes anything; and when it executes nothing any more.
    void machine_runs() { still_since_ns_ = 0; }
    void machine_stands_still() {
        std::int64_t runs = 0;
        still_since_ns_.compare_exchange_strong(runs, clock_.now().since_start.count());
    }

    // Messages that wait.
    void count(std::int64_t more) { waiting_ += more; }

  private:
    const Clock& clock_;
    std::atomic<bool> holds_{false};
    std::atomic<bool> holds_picture_{false};
    std::atomic<std::int64_t> released_until_ns_{0};
    std::atomic<std::int64_t> still_since_ns_{0};  // 0: it runs
    std::atomic<std::int64_t> waiting_{0};
};

}  // namespace segue::spice::server
