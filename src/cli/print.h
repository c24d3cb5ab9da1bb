// SPDX-License-Identifier: LGPL-2.1-or-later
// What the user reads: columns for people, one JSON value for programs. Never both.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "cli/exit_code.h"

namespace segue::cli {

struct Table {
    std::vector<std::string> head;
    std::vector<std::vector<std::string>> rows;

    // Columns two spaces apart, as wide as their widest cell; nothing at the end of a line.
    std::string text() const;
};

// "256 MiB", "1.5 GiB": at most one decimal, binary units.
std::string size_text(std::uint64_t bytes);
// "1:02:03", "12.3 s", "85 ms".
std::string duration_text(std::uint64_t milliseconds);

// What cannot be written is told once, and print_failed() says so at the end.
void print(const std::string& text);
bool print_failed();
void print_json(const Json& value);
// "segue: message" on standard error (in JSON mode an object with error and code), and its exit
// code.
ExitCode print_error(const Error& error, bool as_json);

}  // namespace segue::cli
