// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/line_estimate.h"

#include <algorithm>

namespace segue::spice::server {
namespace {

// A client that never acknowledges is not sent more than two windows.
constexpr std::size_t kMostWindows = 16;
constexpr Duration kShortest = 100us;

std::uint64_t rate(std::uint64_t bytes, Duration time) {
    return bytes * 8 * 1'000'000 / static_cast<std::uint64_t>(to_us(std::max(kShortest, time)));
}

}  // namespace

void LineEstimate::restarted(Instant now) {
    restarted_ = now;
    windows_.clear();
    under_way_ = 0;
    current_ = 0;
    last_ack_.reset();
}

void LineEstimate::synced(Instant now) {
    if (!restarted_) return;
    const Duration time = std::max(kShortest, now - *restarted_);
    round_trip_ = round_trip_ ? std::min(*round_trip_, time) : time;
    restarted_.reset();
}

void LineEstimate::sent(std::size_t bytes, bool ends_window, Instant now) {
    if (current_ == 0) current_began_ = now;
    under_way_ += bytes;
    current_ += bytes;
    if (!ends_window) return;
    if (windows_.size() >= kMostWindows) windows_.pop_front();
    windows_.push_back({current_began_, now, under_way_, current_});
    current_ = 0;
}

void LineEstimate::acked(Instant now) {
    if (windows_.empty()) return;
    const Window window = windows_.front();
    windows_.pop_front();
    under_way_ -= std::min(under_way_, window.own_bytes);
    const std::optional<Instant> before = std::exchange(last_ack_, now);
    const Duration time = std::max(kShortest, now - window.ended);
    if (window.bytes < kLeastSample) {
        round_trip_ = round_trip_ ? std::min(*round_trip_, time) : time;
        return;
    }
    const Duration round_trip = round_trip_.value_or(Duration{});
    const Instant since = std::max(window.began + round_trip, before.value_or(Instant{}));
    const std::uint64_t most = rate(window.bytes, time - round_trip);
    const std::uint64_t least = rate(window.own_bytes, now - since);
    // Two windows are under way at most: twofold, and a little for what is measured.
    const bool was_full = most * 2 <= least * 5;
    bits_per_second_ = was_full ? std::min(least, most) : most;
    const bool contradicts =
        is_low_ ? *bits_per_second_ > 2 * kLowBitsPerSecond : *bits_per_second_ < kLowBitsPerSecond;
    doubts_ = contradicts ? doubts_ + 1 : 0;
    if (doubts_ < kMostDoubts) return;
    is_low_ = !is_low_;
    doubts_ = 0;
}

}  // namespace segue::spice::server
