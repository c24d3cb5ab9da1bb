// SPDX-License-Identifier: LGPL-2.1-or-later
// How fast the line to a client is, seen in its acknowledgements: what was under way when a window
// of messages ended has crossed the line when the window is acknowledged. Nothing is sent for it.
// Some of that had arrived already, and the figure is too high. What the line has delivered since
// the acknowledgement before gives one that is too low, but for a line that was full: where the two
// are within twofold, about, it was, and the lower one counts.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "base/time.h"

namespace segue::spice::server {

class LineEstimate {
  public:
    // Slower than this is "low bandwidth", as in the field; faster than twice this is not.
    static constexpr std::uint64_t kLowBitsPerSecond = 10'000'000;

    // The acknowledgements are about to be counted anew; the client answers with a sync.
    void restarted(Instant now);
    void synced(Instant now);
    // `ends_window`: the client acknowledges this message.
    void sent(std::size_t bytes, bool ends_window, Instant now);
    void acked(Instant now);

    // Of the last sample that was large enough to tell; nothing before one.
    std::optional<std::uint64_t> bits_per_second() const { return bits_per_second_; }
    std::optional<Duration> round_trip() const { return round_trip_; }
    bool is_low() const { return is_low_; }
    // Learnt elsewhere: by the server that the client comes from.
    void assume_low(bool low) { is_low_ = low; }

  private:
    static constexpr unsigned kMostDoubts = 5;
    // Less does not fill a line for long enough to tell its speed from its length.
    static constexpr std::uint64_t kLeastSample = 48u << 10;

    struct Window {
        Instant began{}, ended{};
        std::uint64_t bytes = 0;      // that had not been acknowledged when it ended
        std::uint64_t own_bytes = 0;  // of its own messages
    };
    std::optional<Instant> restarted_;
    std::deque<Window> windows_;
    std::uint64_t under_way_ = 0;
    std::uint64_t current_ = 0;  // of the window that has not ended
    Instant current_began_{};
    std::optional<Instant> last_ack_;
    std::optional<Duration> round_trip_;
    std::optional<std::uint64_t> bits_per_second_;
    // Samples in a row that say the other thing: a client that was busy for a moment is no line.
    unsigned doubts_ = 0;
    bool is_low_ = false;
};

}  // namespace segue::spice::server
