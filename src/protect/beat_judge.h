// SPDX-License-Identifier: LGPL-2.1-or-later
// What the beats of a peer say about it: alive, silent (its host is gone, or the way to it), hung
// (its heart beats, and its work stands still), or unheard (no beat ever came: beats have no way
// between the hosts, though the link has one). Counts the judge's own periods, so that a host which
// was itself not scheduled for a while accuses nobody. No clock, no I/O.
#pragma once

#include <cstdint>
#include <optional>

#include "base/time.h"

namespace segue {

class BeatJudge {
  public:
    struct Limits {
        Duration period = 50ms;
        Duration silence = 300ms;
        // The first beat: its sender may still be starting. And any beat while nothing depends on
        // hearing of an end quickly: a host that is busy with a first state is no dead one.
        Duration first = 5s;
        Duration hang = 5s;
    };
    enum class Verdict { alive, silent, hung, unheard };

    explicit BeatJudge(Limits limits) : limits_(limits) {}
    BeatJudge() : BeatJudge(Limits()) {}

    // A peer is linked: its beats are due from now on, and are counted anew.
    void expect() {
        is_due_ = true;
        heard_ = guards_ = false;
        periods_silent_ = periods_hung_ = 0;
    }
    bool has_heard() const { return heard_; }
    // A guest is protected from now on: silence is judged strictly, and what was silent before,
    // when that was allowed, does not count.
    void guard() {
        if (!guards_) periods_silent_ = 0;
        guards_ = true;
    }
    // Something else of the peer has arrived: its host is not silent. What beats alone tell (that
    // there is a way for them, that its work goes on) stays open.
    void heard_otherwise() {
        if (heard_) periods_silent_ = 0;
    }
    // A genuine beat: its number, and how far the work of the peer has come. False: an old one,
    // which somebody may have recorded; it is ignored.
    bool heard(std::uint64_t number, std::uint64_t work) {
        if (heard_ && number <= number_) return false;
        if (!heard_) periods_hung_ = 0;
        heard_ = true;
        number_ = number;
        periods_silent_ = 0;
        if (work != work_) periods_hung_ = 0;
        work_ = work;
        return true;
    }
    // One of our own periods is over. Nobody is judged whose beats are not due.
    Verdict period() {
        if (!is_due_) return Verdict::alive;
        periods_silent_ += 1;
        periods_hung_ += 1;
        if (!heard_) {
            return periods_silent_ * limits_.period < limits_.first ? Verdict::alive
                                                                    : Verdict::unheard;
        }
        const Duration silence = guards_ ? limits_.silence : limits_.first;
        if (periods_silent_ * limits_.period >= silence) return Verdict::silent;
        if (periods_hung_ * limits_.period > limits_.hang) return Verdict::hung;
        return Verdict::alive;
    }

  private:
    Limits limits_;
    bool is_due_ = false;
    bool heard_ = false;
    bool guards_ = false;
    std::uint64_t number_ = 0;
    std::uint64_t work_ = 0;
    std::int64_t periods_silent_ = 0;
    std::int64_t periods_hung_ = 0;
};

}  // namespace segue
