// SPDX-License-Identifier: LGPL-2.1-or-later
// The event lines of headless mode: one JSON object a line, written at once.
#pragma once

#include <cstdio>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/time.h"

namespace segue::viewer {

class EventLog {
  public:
    // An empty name: nothing is written; "-": standard output. Errors: system.
    static Result<EventLog> open(const std::string& file);

    // `fields` are further members in JSON ("\"host\":\"b\""), or empty. `t_us` is the monotonic
    // clock in microseconds.
    void write(Instant at, std::string_view event, std::string_view fields = {});

  private:
    struct Close {
        void operator()(std::FILE* file) const;
    };
    std::unique_ptr<std::FILE, Close> file_;
};

// How many bytes of the text are whole characters: fewer than all where it ends inside of one.
std::size_t whole_characters(std::string_view text);

// A string as JSON, with its quotes; bytes that are no UTF-8 become U+FFFD.
std::string json_string(std::string_view text);

}  // namespace segue::viewer
