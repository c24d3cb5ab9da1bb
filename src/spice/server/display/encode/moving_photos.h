// SPDX-License-Identifier: LGPL-2.1-or-later
// Photos that move: the second time, most of a photo stands in the client's GLZ window, if the
// first time it went there. QUIC is smaller for a photo that is new. So one now and then goes into
// the window as a trial; as long as those that follow are found there, they go there, too.
#pragma once

#include <algorithm>

namespace segue::spice::server {

class MovingPhotos {
  public:
    // The first trial is the photo of this number, and the next ones are ever rarer.
    static constexpr unsigned kFirstTrial = 4;
    static constexpr unsigned kRarestTrial = 1024;
    // From this share in the window on, GLZ is the smaller one.
    static constexpr double kLeastKnown = 0.6;

    // Whether the next photo, of which so much stands in the window, goes there.
    bool goes_to_window(double known_share) {
        if (known_share >= kLeastKnown) {
            until_trial_ = wait_ = kFirstTrial;
            return true;
        }
        if (--until_trial_ > 0) return false;
        wait_ = std::min(wait_ * 4, kRarestTrial);
        until_trial_ = wait_;
        return true;
    }

  private:
    unsigned wait_ = kFirstTrial;
    unsigned until_trial_ = kFirstTrial;
};

}  // namespace segue::spice::server
