// SPDX-License-Identifier: LGPL-2.1-or-later
#include "migrate/timeline.h"

namespace segue::migrate {

void Timeline::enter(std::string_view step, std::string_view phase, Instant now) {
    close(now);
    open_ = {step, phase, now, {}};
    running_ = true;
}

void Timeline::close(Instant now) {
    if (!running_) return;
    open_.lasted = now - open_.began;
    spans_.push_back(open_);
    running_ = false;
}

Duration Timeline::total(std::string_view step) const {
    Duration sum{};
    for (const Span& span : spans_) {
        if (span.step == step) sum += span.lasted;
    }
    return sum;
}

}  // namespace segue::migrate
