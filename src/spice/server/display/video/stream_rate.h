// SPDX-License-Identifier: LGPL-2.1-or-later
// How good and how often the frames of one video are: less when the client or the line cannot
// follow, more again when they could for a while. First the quality gives way, then the pace.
#pragma once

#include <cstdint>

#include "base/time.h"

namespace segue::spice::server {

class StreamRate {
  public:
    explicit StreamRate(Instant now) : judged_(now) {}

    // What the client tells of the frames since its last report (STREAM_REPORT).
    struct Report {
        std::uint32_t frames = 0;
        std::uint32_t drops = 0;
        Duration last_delay{};  // how early the last frame came; negative: late
    };
    void reported(const Report& report, Instant now);

    // Whether a frame may go now; asked when there is one. `has_room`: the line takes more.
    bool may_send(bool has_room, Instant now);
    void sent(Instant now);

    int quality() const { return kQualities[level_]; }
    Duration interval() const { return interval_; }
    // How long before they are due frames are sent: stamps lie so far ahead.
    Duration lead() const { return lead_; }

  private:
    static constexpr int kQualities[] = {25, 35, 45, 55, 65, 75, 85};
    static constexpr std::size_t kBest = 6;
    static constexpr Duration kShortestInterval = 16ms;
    static constexpr Duration kLongestInterval = 1s;
    static constexpr Duration kLongestLead = 500ms;

    void judge(Instant now);
    void worse(Instant now);
    void better(Instant now);

    std::size_t level_ = 4;
    Duration interval_ = kShortestInterval;
    Duration lead_ = 80ms;
    Instant last_sent_{};
    // Since the last judgement.
    Instant judged_;
    std::uint32_t frames_ = 0;
    std::uint32_t skipped_ = 0;
    unsigned good_turns_ = 0;
};

}  // namespace segue::spice::server
