// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/line_estimate.h"

#include <algorithm>

namespace segue::spice::server {
namespace {

// A client that never acknowledges is not sent more than two windows.
constexpr std::size_t kMostWindows = 16;
constexpr Duration kShortest = 100us;

}  // namespace

void LineEstimate::restarted(Instant now) {
    restarted_ = now;
    windows_.clear();
    under_way_ = 0;
    current_ = 0;
}

void LineEstimate::synced(Instant now) {
    if (!restarted_) return;
    const Duration time = std::max(kShortest, now - *restarted_);
    round_trip_ = round_trip_ ? std::min(*round_trip_, time) : time;
    restarted_.reset();
}

void LineEstimate::sent(std::size_t bytes, bool ends_window, Instant now) {
    under_way_ += bytes;
    current_ += bytes;
    if (!ends_window) return;
    if (windows_.size() >= kMostWindows) windows_.pop_front();
    windows_.push_back({now, under_way_, current_});
    current_ = 0;
}

void LineEstimate::acked(Instant now) {
    if (windows_.empty()) return;
    const Window window = windows_.front();
    windows_.pop_front();
    under_way_ -= std::min(under_way_, window.own_bytes);
    const Duration time = std::max(kShortest, now - window.ended);
    if (window.bytes < kLeastSample) {
        round_trip_ = round_trip_ ? std::min(*round_trip_, time) : time;
        return;
    }
    const Duration crossing = std::max(kShortest, time - round_trip_.value_or(Duration{}));
    bits_per_second_ = window.bytes * 8 * 1'000'000 / static_cast<std::uint64_t>(to_us(crossing));
    const bool contradicts =
        is_low_ ? *bits_per_second_ > 2 * kLowBitsPerSecond : *bits_per_second_ < kLowBitsPerSecond;
    doubts_ = contradicts ? doubts_ + 1 : 0;
    if (doubts_ < kMostDoubts) return;
    is_low_ = !is_low_;
    doubts_ = 0;
}

}  // namespace segue::spice::server
