// SPDX-License-Identifier: LGPL-2.1-or-later
// The time of sound and video, in the server's milliseconds. The server sets it; while sound is
// heard, the loudspeaker does.
#pragma once

#include <cstdint>
#include <optional>

#include "base/time.h"

namespace segue::spice::client {

class MediaClock {
  public:
    void set(std::uint32_t milliseconds, Instant now) {
        base_ = milliseconds;
        since_ = now;
    }
    // Samples of this media time will be heard in `delay_ms`.
    void hear(std::uint32_t media_time, std::uint32_t delay_ms, Instant now) {
        set(media_time - delay_ms, now);
        heard_ = now;
        delay_ms_ = delay_ms;
    }
    void silence() { heard_.reset(); }

    std::uint32_t at(Instant now) const {
        return base_ + static_cast<std::uint32_t>(to_ms(now - since_));
    }
    // Nothing while there is no sound, or none came for a while.
    std::optional<std::uint32_t> sound_delay_ms(Instant now) const {
        if (!heard_ || now - *heard_ > kSoundIsOver) return std::nullopt;
        return delay_ms_;
    }

  private:
    static constexpr Duration kSoundIsOver = 1s;

    std::uint32_t base_ = 0;
    Instant since_;
    std::optional<Instant> heard_;
    std::uint32_t delay_ms_ = 0;
};

}  // namespace segue::spice::client
