// SPDX-License-Identifier: LGPL-2.1-or-later
// The phases of one migration with their durations, as values: whoever observes them takes them.
#pragma once

#include <string_view>
#include <vector>

#include "base/time.h"

namespace segue::migrate {

struct Span {
    std::string_view step;  // name of the machine's state ("transferring", "screen", "giving", …)
    std::string_view phase;  // libvirt's name of the phase the step belongs to
    Instant began;
    Duration lasted{};
};

class Timeline {
  public:
    // Ends the open span, if any, and begins the next one.
    void enter(std::string_view step, std::string_view phase, Instant now);
    void close(Instant now);
    // Closed spans in order; the open one is not among them.
    const std::vector<Span>& spans() const { return spans_; }
    // Time spent in all spans of this step.
    Duration total(std::string_view step) const;

  private:
    std::vector<Span> spans_;
    Span open_{};
    bool running_ = false;
};

}  // namespace segue::migrate
