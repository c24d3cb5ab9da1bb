// SPDX-License-Identifier: LGPL-2.1-or-later
// The last things that happened on a host, for `segue events` and `segue report`: a ring in memory.
// Text that goes in must carry no secret: what is in here leaves in reports.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

namespace segue {

class EventLog {
  public:
    struct Event {
        std::uint64_t number = 0;  // counts on over the ring's whole life
        std::int64_t wall_ms = 0;
        std::string kind;    // "migration", "lifecycle", "screen", "store", …
        std::string domain;  // empty: the host itself
        std::string text;
    };

    static constexpr std::size_t kDefaultCapacity = 1024;

    explicit EventLog(std::size_t capacity = kDefaultCapacity) : capacity_(capacity) {}

    void add(std::int64_t wall_ms, std::string_view kind, std::string_view domain,
             std::string_view text);
    // Oldest first. The numbers tell a reader what it missed.
    const std::deque<Event>& events() const { return events_; }
    // One JSON object a line, for events with a number above `after`.
    std::string json_lines(std::uint64_t after = 0) const;

  private:
    std::size_t capacity_;
    std::uint64_t last_ = 0;
    std::deque<Event> events_;
};

}  // namespace segue
