// SPDX-License-Identifier: LGPL-2.1-or-later
// Whether two guests agree often enough for hybrid mode to be worth its shadow. Where they do not,
// protection goes on in periodic mode, and hybrid mode is tried again after a calm time, which
// doubles each time that it fails at once. No clock, no I/O.
#pragma once

#include <algorithm>
#include <deque>
#include <optional>

#include "base/time.h"

namespace segue {

class DivergenceJudge {
  public:
    struct Limits {
        // More differences than this within `window`: too many.
        std::size_t differences = 5;
        Duration window = 5s;
        Duration calm = 10s;
        Duration longest_calm = 320s;
    };

    explicit DivergenceJudge(Limits limits) : limits_(limits), calm_(limits.calm) {}
    DivergenceJudge() : DivergenceJudge(Limits()) {}

    bool is_hybrid() const { return !fell_back_at_; }

    // A difference asked for a checkpoint. True: hybrid mode ends here.
    bool difference(Instant now) {
        if (!is_hybrid()) return false;
        recent_.push_back(now);
        while (now - recent_.front() > limits_.window)
            recent_.pop_front();
        if (recent_.size() <= limits_.differences) return false;
        fall_back(now);
        return true;
    }
    // Hybrid mode cannot go on, whatever the guests say.
    void fall_back(Instant now) {
        // It held for as long as it was waited for: that was no bad guess.
        const bool held = tried_at_ && now - *tried_at_ >= calm_;
        calm_ = tried_at_ && !held ? std::min(calm_ * 2, limits_.longest_calm) : limits_.calm;
        fell_back_at_ = now;
        recent_.clear();
    }
    // True: hybrid mode is tried again from here on.
    bool look(Instant now) {
        if (is_hybrid() || now - *fell_back_at_ < calm_) return false;
        fell_back_at_.reset();
        tried_at_ = now;
        return true;
    }
    Duration calm() const { return calm_; }

  private:
    Limits limits_;
    Duration calm_;
    std::deque<Instant> recent_;
    std::optional<Instant> fell_back_at_, tried_at_;
};

}  // namespace segue
