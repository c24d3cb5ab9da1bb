// SPDX-License-Identifier: LGPL-2.1-or-later
// Words of segue-agent and segued to our library (messages.h): whether what a machine lets its
// clients see and hear waits until the checkpoint that knows of it is committed.
//
//   {"cmd":"screen","do":"hold"}                    from now on it waits
//   {"cmd":"screen","do":"hold","picture":"passes"} the same, but for display, pointer and sound
//   {"cmd":"screen","do":"release","until_ns":123}  what was sent up to then (this host's monotonic
//                                                   clock) leaves
//   {"cmd":"screen","do":"pass"}                    nothing waits any more
//
// Each is answered with {"event":"screen","holds":true,"waiting":3}, the messages that wait, or
// with {"error":…}. Behind the answer to `hold` nothing leaves that was not sent before.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"

namespace segue::spice::control {

struct ScreenWord {
    enum class Kind : std::uint8_t { hold, release, pass };
    Kind kind = Kind::pass;
    Instant until{};              // release
    bool picture_passes = false;  // hold; a library that does not know the member holds everything
    friend bool operator==(const ScreenWord&, const ScreenWord&) = default;
};

struct ScreenAnswer {
    bool holds = false;
    std::uint64_t waiting = 0;
    friend bool operator==(const ScreenAnswer&, const ScreenAnswer&) = default;
};

// Nothing: another command. Errors (invalid_argument) name the member.
Result<std::optional<ScreenWord>> parse_screen_word(std::string_view line);
std::string to_line(const ScreenWord& word);

// Nothing: about something else. An error is what the library said.
Result<std::optional<ScreenAnswer>> parse_screen_answer(std::string_view line);
std::string to_line(const ScreenAnswer& answer);

}  // namespace segue::spice::control
