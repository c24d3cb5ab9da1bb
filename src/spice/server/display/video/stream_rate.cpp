// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/video/stream_rate.h"

#include <algorithm>

namespace segue::spice::server {
namespace {

constexpr Duration kTurn = 1s;
// So many turns without a loss before more is tried.
constexpr unsigned kGoodTurns = 3;

}  // namespace

StreamRate::StreamRate(Instant now, const Pace& pace) : judged_(now) {
    pace_.level = std::min(pace.level, kBest);
    pace_.interval = std::clamp(pace.interval, kShortestInterval, kLongestInterval);
    pace_.lead = std::clamp(pace.lead, pace_.lead, kLongestLead);
}

void StreamRate::reported(const Report& report, Instant now) {
    if (report.last_delay < Duration{}) pace_.lead = std::min(kLongestLead, pace_.lead + 40ms);
    if (report.drops > 0 && report.drops * 5 >= report.frames) worse(now);
}

bool StreamRate::may_send(bool has_room, Instant now) {
    if (now - last_sent_ < pace_.interval) return false;
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
    if (pace_.level > 0) {
        --pace_.level;
    } else {
        pace_.interval = std::min(kLongestInterval, pace_.interval * 2);
    }
    good_turns_ = 0;
    judged_ = now;
    frames_ = 0;
    skipped_ = 0;
}

void StreamRate::better(Instant now) {
    if (pace_.interval > kShortestInterval) {
        pace_.interval = std::max(kShortestInterval, pace_.interval / 2);
    } else if (pace_.level < kBest) {
        ++pace_.level;
    }
    good_turns_ = 0;
    judged_ = now;
    frames_ = 0;
    skipped_ = 0;
}

}  // namespace segue::spice::server
