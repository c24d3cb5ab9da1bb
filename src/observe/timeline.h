// SPDX-License-Identifier: LGPL-2.1-or-later
// What happened when, as a value: the phases of one migration (or one failover) with start and end,
// marks, and named results. Producers add to it while it happens; readers print it as text, JSON or
// a picture. Times are Durations since the timeline's own start.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace segue {

class Timeline {
  public:
    struct Phase {
        std::string name;   // libvirt's phase name, or "screen-wait", "transfer", …
        std::string where;  // "source", "destination", "viewer"
        Duration start{};
        std::optional<Duration> end;  // empty while it lasts
    };
    struct Mark {
        std::string name;
        std::string where;
        Duration at{};
    };
    struct Number {
        std::string name;  // with its unit last: "downtime_ms"
        std::int64_t value = 0;
    };

    // More than this is not kept: a peer that floods events cannot fill our memory.
    static constexpr std::size_t kMaxEntries = 512;

    Timeline() = default;
    Timeline(std::string title, Instant start, std::int64_t wall_ms)
        : title_(std::move(title)), start_(start), wall_ms_(wall_ms) {}

    // Opens a phase; an open phase of the same name and place is ended first.
    void begin(std::string_view name, std::string_view where, Instant at);
    // Ends the open phase of that name and place; without one, nothing happens.
    void end(std::string_view name, std::string_view where, Instant at);
    // Ends everything that is open: the last line of every outcome.
    void close(Instant at);
    void mark(std::string_view name, std::string_view where, Instant at);
    // A later value replaces an earlier one of the same name.
    void number(std::string_view name, std::int64_t value);
    void outcome(std::string_view text) { outcome_ = text; }

    const std::string& title() const { return title_; }
    const std::string& outcome() const { return outcome_; }
    const std::vector<Phase>& phases() const { return phases_; }
    const std::vector<Mark>& marks() const { return marks_; }
    const std::vector<Number>& numbers() const { return numbers_; }
    Instant start() const { return start_; }
    // Milliseconds since the epoch at the start: places the timelines of two hosts on one line.
    std::int64_t wall_ms() const { return wall_ms_; }
    std::optional<std::int64_t> find_number(std::string_view name) const;
    // From the start to the last thing that is recorded.
    Duration length() const;

  private:
    std::string title_;
    std::string outcome_;
    Instant start_{};
    std::int64_t wall_ms_ = 0;
    std::vector<Phase> phases_;
    std::vector<Mark> marks_;
    std::vector<Number> numbers_;
};

// One line a phase, with a bar: for logs and terminals.
std::string timeline_text(const Timeline& timeline);
// One JSON object; times in microseconds since the timeline's start.
std::string timeline_json(const Timeline& timeline);
// A self-contained SVG 1.1 picture: one bar a phase, coloured by place.
std::string timeline_svg(const Timeline& timeline);

}  // namespace segue
