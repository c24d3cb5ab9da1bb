// SPDX-License-Identifier: LGPL-2.1-or-later
#include "net/line.h"

#include <algorithm>

namespace segue::net {
namespace {

// A slow line hands over in portions, so that progress is seen: this much time's worth of bytes.
constexpr Duration kPortion = 5ms;
constexpr std::uint64_t kSmallestPortion = 64;

Duration time_for(std::uint64_t bytes, std::uint64_t bytes_per_second) {
    return Duration(static_cast<std::int64_t>(static_cast<double>(bytes) * 1e9 /
                                              static_cast<double>(bytes_per_second)));
}

}  // namespace

void LineFilter::push(Instant now, ByteView bytes) {
    waiting_ += bytes.size();
    if (quality_.bytes_per_second == 0) {
        const Instant due = std::max(now + quality_.delay, line_free_ + quality_.delay);
        parts_.push_back({due, Bytes(bytes.begin(), bytes.end())});
        return;
    }
    const std::uint64_t rate = quality_.bytes_per_second;
    const std::uint64_t portion = std::max<std::uint64_t>(
        kSmallestPortion, rate / static_cast<std::uint64_t>(Duration(1s) / kPortion));
    line_free_ = std::max(line_free_, now);
    while (!bytes.empty()) {
        const std::size_t size = std::min<std::size_t>(bytes.size(), portion);
        line_free_ = line_free_ + time_for(size, rate);
        parts_.push_back({line_free_ + quality_.delay, Bytes(bytes.begin(), bytes.begin() + size)});
        bytes = bytes.subspan(size);
    }
}

std::optional<Instant> LineFilter::next_due() const {
    if (parts_.empty() || quality_.drop || is_cut()) return std::nullopt;
    return parts_.front().due;
}

Bytes LineFilter::pop(Instant now) {
    Bytes arrived;
    while (!parts_.empty() && !quality_.drop && !is_cut() && parts_.front().due <= now) {
        ByteView bytes = parts_.front().bytes;
        waiting_ -= bytes.size();
        if (quality_.cut_after) {
            bytes =
                bytes.first(std::min<std::uint64_t>(bytes.size(), *quality_.cut_after - passed_));
        }
        passed_ += bytes.size();
        arrived.insert(arrived.end(), bytes.begin(), bytes.end());
        parts_.pop_front();
    }
    return arrived;
}

bool LineFilter::is_cut() const {
    return quality_.cut_after && passed_ >= *quality_.cut_after;
}

}  // namespace segue::net
