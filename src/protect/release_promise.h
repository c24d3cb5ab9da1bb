// SPDX-License-Identifier: LGPL-2.1-or-later
// What lets a primary's frames leave at its own host although nobody else vouches for it: the
// standby's word that it is not about to run the guest. Each beat of the standby repeats the number
// of the newest beat of the agent that it has heard, and with that it promises to start nothing by
// itself for a term from when it heard it. The agent counts the term from when it *sent* that beat,
// and takes off what two clocks may drift apart: it has stopped before the standby starts. No
// clock, no I/O.
#pragma once

#include <cstdint>
#include <deque>

#include "base/time.h"
#include "protect/lease.h"

namespace segue {

struct PromiseTerms {
    // No longer than the silence after which a peer counts as lost: to keep the promise then costs
    // a takeover nothing.
    Duration term = 300ms;
    std::int64_t clock_error = LeaseTerms{}.clock_error;

    Duration believed() const { return term - 2 * term / clock_error; }
};

// The standby's side.
class PromiseGiver {
  public:
    // Whoever was here before may have promised as much, until now.
    PromiseGiver(Instant now, PromiseTerms terms = {}) : terms_(terms), given_at_(now) {}

    // A peer is linked, whose beats count from 1.
    void expect() {
        newest_ = 0;
        parted_ = false;
    }
    // A genuine beat of the agent. Old ones renew nothing.
    void heard(std::uint64_t number, Instant now) {
        if (parted_ || number <= newest_) return;
        newest_ = number;
        given_at_ = now;
    }
    // What the next beat repeats; 0: nothing.
    std::uint64_t newest() const { return newest_; }
    // The peer is lost: nothing more is promised, and how long the last promise still binds.
    Duration part(Instant now) {
        parted_ = true;
        const Duration left = given_at_ + terms_.term - now;
        return left > Duration{0} ? left : Duration{0};
    }

  private:
    PromiseTerms terms_;
    Instant given_at_;
    std::uint64_t newest_ = 0;
    bool parted_ = true;
};

// The agent's side.
class PromiseTaker {
  public:
    explicit PromiseTaker(PromiseTerms terms = {}) : terms_(terms) {}

    void sent(std::uint64_t number, Instant now) {
        sent_.push_back({number, now});
        if (sent_.size() > kMaxSent) sent_.pop_front();
    }
    // The standby repeats this number. One that was never sent, or long ago, proves nothing.
    void repeated(std::uint64_t number) {
        while (!sent_.empty() && sent_.front().number < number)
            sent_.pop_front();
        if (sent_.empty() || sent_.front().number != number) return;
        has_word_ = true;
        since_ = sent_.front().at;
        sent_.pop_front();
    }
    bool holds(Instant now) const { return has_word_ && now - since_ < terms_.believed(); }

  private:
    static constexpr std::size_t kMaxSent = 64;
    struct Sent {
        std::uint64_t number;
        Instant at;
    };
    PromiseTerms terms_;
    std::deque<Sent> sent_;
    bool has_word_ = false;
    Instant since_{};
};

}  // namespace segue
