// SPDX-License-Identifier: LGPL-2.1-or-later
#include "cli/print.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace segue::cli {

std::string Table::text() const {
    std::vector<std::size_t> widths;
    const auto measure = [&](const std::vector<std::string>& row) {
        widths.resize(std::max(widths.size(), row.size()));
        for (std::size_t at = 0; at < row.size(); ++at) {
            widths[at] = std::max(widths[at], row[at].size());
        }
    };
    measure(head);
    for (const auto& row : rows)
        measure(row);

    std::string out;
    const auto add = [&](const std::vector<std::string>& row) {
        std::string line;
        for (std::size_t at = 0; at < row.size(); ++at) {
            line += fmt::format("{:<{}}  ", row[at], widths[at]);
        }
        line.erase(line.find_last_not_of(' ') + 1);
        out += line + "\n";
    };
    if (!head.empty()) add(head);
    for (const auto& row : rows)
        add(row);
    return out;
}

std::string size_text(std::uint64_t bytes) {
    static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (value >= 1024 && unit + 1 < std::size(kUnits)) {
        value /= 1024;
        ++unit;
    }
    const bool whole = value == static_cast<double>(static_cast<std::uint64_t>(value));
    return whole ? fmt::format("{} {}", static_cast<std::uint64_t>(value), kUnits[unit])
                 : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string duration_text(std::uint64_t milliseconds) {
    if (milliseconds < 1000) return fmt::format("{} ms", milliseconds);
    if (milliseconds < 60'000) return fmt::format("{:.1f} s", milliseconds / 1000.0);
    const std::uint64_t seconds = milliseconds / 1000;
    return fmt::format("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

namespace {
bool is_lost = false;  // something that was to be printed
}

bool print_failed() {
    return is_lost;
}

void print(const std::string& text) {
    const std::size_t written = std::fwrite(text.data(), 1, text.size(), stdout);
    if (written == text.size() && std::fflush(stdout) == 0) return;
    // A reader that has seen enough (`| head`) is no failure; a full disk is.
    if (errno == EPIPE || is_lost) return;
    is_lost = true;
    std::fprintf(stderr, "segue: cannot write the answer: %s\n", std::strerror(errno));
}

void print_json(const Json& value) {
    print(value.dump() + "\n");
}

ExitCode print_error(const Error& error, bool as_json) {
    const std::string line = as_json ? Json::object({{"error", error.message},
                                                     {"code", static_cast<int>(error.code)},
                                                     {"name", std::string(name_of(error.code))}})
                                           .dump()
                                     : "segue: " + error.message;
    std::fprintf(stderr, "%s\n", line.c_str());
    return exit_code_of(error);
}

}  // namespace segue::cli
