// SPDX-License-Identifier: LGPL-2.1-or-later
// How long until the next checkpoint, where the user did not say: short while output waits for one,
// so that it leaves soon; long enough that the guest is stopped for at most a twentieth of the
// time; and long where nobody waits. No clock, no I/O.
#pragma once

#include <algorithm>
#include <cstdint>

namespace segue {

class IntervalPilot {
  public:
    struct Limits {
        std::uint32_t shortest_ms = 25;
        std::uint32_t longest_ms = 500;
        // Intervals that one pause must be worth.
        std::uint32_t pauses = 20;
        // Looks without waiting output before the interval grows again.
        int patience = 10;
    };

    explicit IntervalPilot(Limits limits) : limits_(limits), interval_ms_(limits.longest_ms) {}
    IntervalPilot() : IntervalPilot(Limits()) {}

    std::uint32_t interval_ms() const { return interval_ms_; }

    // One look: the median of the last pauses, and whether frames wait for a commit. True: the
    // interval has changed by enough to be worth a word to QEMU.
    bool look(std::int64_t pause_us, bool output_waits) {
        quiet_looks_ = output_waits ? 0 : std::min(quiet_looks_ + 1, limits_.patience);
        const bool is_quiet = quiet_looks_ >= limits_.patience;
        std::uint32_t wanted = limits_.longest_ms;
        if (!is_quiet) {
            const std::int64_t worth_ms = pause_us * limits_.pauses / 1000;
            wanted = static_cast<std::uint32_t>(
                std::clamp<std::int64_t>(worth_ms, limits_.shortest_ms, limits_.longest_ms));
        }
        const std::uint32_t difference =
            wanted > interval_ms_ ? wanted - interval_ms_ : interval_ms_ - wanted;
        // Each word to QEMU is a checkpoint at once.
        if (difference * 4 <= interval_ms_) return false;
        interval_ms_ = wanted;
        return true;
    }

  private:
    Limits limits_;
    std::uint32_t interval_ms_;
    int quiet_looks_ = 0;
};

}  // namespace segue
