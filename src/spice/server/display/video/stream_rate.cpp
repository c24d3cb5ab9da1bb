// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/video/stream_rate.h"

#include <algorithm>

namespace segue::spice::server {
namespace {

constexpr Duration kTurn = 1s;
// So many turns without a loss before more is tried.
constexpr unsigned kGoodTurns = 3;

}  // namespace

void StreamRate::reported(const Report& report, Instant now) {
    if (report.last_delay < Duration{}) lead_ = std::min(kLongestLead, lead_ + 40ms);
    if (report.drops > 0 && report.drops * 5 >= report.frames) worse(now);
}

bool StreamRate::may_send(bool has_room, Instant now) {
    if (now - last_sent_ < interval_) return false;
    if (!has_room) ++skipped_;
    judge(now);
    return has_room;
}

void StreamRate::sent(Instant now) {
    last_sent_ = now;
    ++frames_;
}

void StreamRate::judge(Instant now) {
    if (now - judged_ < kTurn) return;
    if (skipped_ * 4 > frames_ + skipped_) return worse(now);
    if (skipped_ == 0 && ++good_turns_ >= kGoodTurns) return better(now);
    judged_ = now;
    frames_ = 0;
    skipped_ = 0;
}

void StreamRate::worse(Instant now) {
    if (level_ > 0) {
        --level_;
    } else {
        interval_ = std::min(kLongestInterval, interval_ * 2);
    }
    good_turns_ = 0;
    judged_ = now;
    frames_ = 0;
    skipped_ = 0;
}

void StreamRate::better(Instant now) {
    if (interval_ > kShortestInterval) {
        interval_ = std::max(kShortestInterval, interval_ / 2);
    } else if (level_ < kBest) {
        ++level_;
    }
    good_turns_ = 0;
    judged_ = now;
    frames_ = 0;
    skipped_ = 0;
}

}  // namespace segue::spice::server
