// SPDX-License-Identifier: LGPL-2.1-or-later
#include "observe/event_log.h"

#include <fmt/format.h>

#include "observe/json_text.h"

namespace segue {

void EventLog::add(std::int64_t wall_ms, std::string_view kind, std::string_view domain,
                   std::string_view text) {
    events_.push_back(
        {++last_, wall_ms, std::string(kind), std::string(domain), std::string(text)});
    if (events_.size() > capacity_) events_.pop_front();
}

std::string EventLog::json_lines(std::uint64_t after) const {
    std::string out;
    for (const Event& event : events_) {
        if (event.number <= after) continue;
        out +=
            fmt::format("{{\"number\":{},\"wall_ms\":{},\"kind\":{},\"domain\":{},\"text\":{}}}\n",
                        event.number, event.wall_ms, json_quoted(event.kind),
                        json_quoted(event.domain), json_quoted(event.text));
    }
    return out;
}

}  // namespace segue
