// SPDX-License-Identifier: LGPL-2.1-or-later
// A line with faults: bytes go in on one side and come out late, slowly, or never. A value fed with
// time, without I/O, so that the simulator, the tests and `segue-line` share it.
#pragma once

#include <deque>
#include <optional>

#include "base/bytes.h"
#include "base/time.h"

namespace segue::net {

struct LineQuality {
    Duration delay{0};                   // one way
    std::uint64_t bytes_per_second = 0;  // 0: no limit
    // Nothing arrives any more and nobody is told, as when a cable is pulled. Bytes sent meanwhile
    // arrive after it is mended, as TCP would send them again.
    bool drop = false;
    // The line breaks after so many bytes in all: both ends see it.
    std::optional<std::uint64_t> cut_after = std::nullopt;
};

class LineFilter {
  public:
    explicit LineFilter(LineQuality quality = {}) : quality_(quality) {}

    // Applies to what is pushed from now on, `drop` and `cut_after` also to what is on the way.
    void set_quality(const LineQuality& quality) { quality_ = quality; }
    const LineQuality& quality() const { return quality_; }

    void push(Instant now, ByteView bytes);
    // When pop() has something next; nothing when the line is empty, dropped or cut.
    std::optional<Instant> next_due() const;
    // What has arrived by now, in order.
    Bytes pop(Instant now);
    bool is_cut() const;
    std::size_t waiting() const { return waiting_; }
    std::uint64_t passed() const { return passed_; }

  private:
    struct Part {
        Instant due;
        Bytes bytes;
    };

    LineQuality quality_;
    std::deque<Part> parts_;
    Instant line_free_{};  // when the last byte pushed has left the sender
    std::size_t waiting_ = 0;
    std::uint64_t passed_ = 0;
};

}  // namespace segue::net
