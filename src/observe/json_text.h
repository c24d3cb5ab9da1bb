// SPDX-License-Identifier: LGPL-2.1-or-later
// Writing one flat JSON value: all that logs and timelines need of JSON.
#pragma once

#include <string>
#include <string_view>

namespace segue {

// The text in quotes, with everything escaped that RFC 8259 section 7 asks for. Bytes that are no
// valid UTF-8 become U+FFFD: a log line must never make its reader fail.
std::string json_quoted(std::string_view text);

}  // namespace segue
