// SPDX-License-Identifier: LGPL-2.1-or-later
// How good and how often the frames of one video are: less when the client or the line cannot
// follow, more again when they could for a while. First the quality gives way, then the pace.
#pragma once

#include <cstdint>

#include "base/time.h"

namespace segue::spice::server {

class StreamRate {
  public:
    // What goes to another server with its client, in the bounds below.
    struct Pace {
        std::uint8_t level = 4;  // of kQualities
        Duration interval = 16ms;
        Duration lead = 80ms;
        friend bool operator==(const Pace&, const Pace&) = default;
    };

    explicit StreamRate(Instant now) : StreamRate(now, Pace{}) {}
    StreamRate(Instant now, const Pace& pace);

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

    int quality() const { return kQualities[pace_.level]; }
    Duration interval() const { return pace_.interval; }
    // How long before they are due frames are sent: stamps lie so far ahead.
    Duration lead() const { return pace_.lead; }
    const Pace& pace() const { return pace_; }

  private:
    static constexpr int kQualities[] = {25, 35, 45, 55, 65, 75, 85};
    static constexpr std::uint8_t kBest = 6;
    static constexpr Duration kShortestInterval = 16ms;
    static constexpr Duration kLongestInterval = 1s;
    static constexpr Duration kLongestLead = 500ms;

    void judge(Instant now);
    void worse(Instant now);
    void better(Instant now);

    Pace pace_;
    Instant last_sent_{};
    // Since the last judgement.
    Instant judged_;
    std::uint32_t frames_ = 0;
    std::uint32_t skipped_ = 0;
    unsigned good_turns_ = 0;
};

}  // namespace segue::spice::server
