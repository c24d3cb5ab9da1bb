// SPDX-License-Identifier: LGPL-2.1-or-later
// Whether a QEMU that is alive does its work: well, slow, standing still (its monitor's own thread
// answers, its main loop does not: a disk that never answers), or hung as a whole process. Counts
// the judge's own periods, so that a host which was itself not scheduled for a while accuses
// nobody. No clock, no I/O.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/time.h"

namespace segue {

class HangJudge {
  public:
    struct Limits {
        Duration period = 200ms;
        Duration slow = 2s;
        Duration process = 5s;
        // A flush of a busy disk holds the main loop for seconds.
        Duration work = 15s;
    };
    enum class Verdict : std::uint8_t { well, slow, stands_still, hung };

    explicit HangJudge(Limits limits) : limits_(limits) {}
    HangJudge() : HangJudge(Limits()) {}

    // The monitor's thread answered an out-of-band question; the main loop one in its turn.
    void process_answered() { process_periods_ = 0; }
    void work_answered() { work_periods_ = 0; }
    // The main loop may be waiting for something of ours, which is judged by others.
    void work_excused() { work_periods_ = 0; }

    // One of our own periods is over, and both were asked.
    Verdict period() {
        process_periods_ += 1;
        work_periods_ += 1;
        if (process_periods_ * limits_.period > limits_.process) return Verdict::hung;
        if (work_periods_ * limits_.period > limits_.work) return Verdict::stands_still;
        const bool is_slow = process_periods_ * limits_.period > limits_.slow ||
                             work_periods_ * limits_.period > limits_.slow;
        return is_slow ? Verdict::slow : Verdict::well;
    }

  private:
    Limits limits_;
    std::int64_t process_periods_ = 0;
    std::int64_t work_periods_ = 0;
};

inline std::string_view name_of(HangJudge::Verdict verdict) {
    switch (verdict) {
        case HangJudge::Verdict::well: return "well";
        case HangJudge::Verdict::slow: return "slow";
        case HangJudge::Verdict::stands_still: return "stands still";
        case HangJudge::Verdict::hung: return "hung";
    }
    return "unknown";
}

}  // namespace segue
