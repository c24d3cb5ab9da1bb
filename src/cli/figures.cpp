// SPDX-License-Identifier: LGPL-2.1-or-later
#include "cli/figures.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "cli/print.h"

namespace segue::cli {
namespace {

enum class Unit { none, milliseconds, microseconds, wall_clock, bytes, bytes_per_second, job };

struct Rule {
    std::string_view name;
    Unit unit;
    bool is_suffix;
};

// The first that fits counts.
constexpr Rule kRules[] = {
    {"since_ms", Unit::wall_clock, false},
    {"ended_ms", Unit::wall_clock, false},
    {"_ms", Unit::milliseconds, true},
    {"_us", Unit::microseconds, true},
    {"time_elapsed", Unit::milliseconds, false},
    {"time_elapsed_net", Unit::milliseconds, false},
    {"time_remaining", Unit::milliseconds, false},
    {"downtime", Unit::milliseconds, false},
    {"downtime_net", Unit::milliseconds, false},
    {"setup_time", Unit::milliseconds, false},
    {"bytes", Unit::bytes, false},
    {"_bytes", Unit::bytes, true},
    {"_bps", Unit::bytes_per_second, true},
    {"memory_page_size", Unit::bytes, false},
    {"compression_cache", Unit::bytes, false},
    {"_total", Unit::bytes, true},
    {"_processed", Unit::bytes, true},
    {"_remaining", Unit::bytes, true},
    {"operation", Unit::job, false},
};

Unit unit_of_part(std::string_view part) {
    const auto found = std::find_if(std::begin(kRules), std::end(kRules), [part](const Rule& rule) {
        return rule.is_suffix ? part.ends_with(rule.name) : part == rule.name;
    });
    return found == std::end(kRules) ? Unit::none : found->unit;
}

// Of "protection.pause_us.p50" the innermost part that has one.
Unit unit_of(std::string_view name) {
    while (!name.empty()) {
        const std::size_t dot = name.rfind('.');
        const std::string_view part = dot == std::string_view::npos ? name : name.substr(dot + 1);
        if (const Unit unit = unit_of_part(part); unit != Unit::none) return unit;
        name = dot == std::string_view::npos ? std::string_view() : name.substr(0, dot);
    }
    return Unit::none;
}

std::string microseconds_text(std::uint64_t microseconds) {
    if (microseconds >= 1'000'000) return duration_text(microseconds / 1000);
    if (microseconds < 1000) return fmt::format("{} us", microseconds);
    return fmt::format("{:.1f} ms", static_cast<double>(microseconds) / 1000);
}

// virDomainJobOperation.
std::string job_text(std::uint64_t operation) {
    switch (operation) {
        case 1: return "start";
        case 4: return "incoming migration";
        case 5: return "outgoing migration";
        default: return std::to_string(operation);
    }
}

// Milliseconds since 1970; no calendar is asked about years of more than four digits.
std::string date_text(std::uint64_t milliseconds) {
    constexpr std::uint64_t kYear10000 = 253'402'300'800'000;
    if (milliseconds >= kYear10000) return std::to_string(milliseconds);
    return fmt::format("{:%FT%TZ}", fmt::gmtime(static_cast<std::time_t>(milliseconds / 1000)));
}

std::string number_text(Unit unit, std::uint64_t number) {
    switch (unit) {
        case Unit::milliseconds: return duration_text(number);
        case Unit::microseconds: return microseconds_text(number);
        case Unit::wall_clock: return date_text(number);
        case Unit::bytes: return size_text(number);
        case Unit::bytes_per_second: return size_text(number) + "/s";
        case Unit::job: return job_text(number);
        case Unit::none: break;
    }
    return std::to_string(number);
}

}  // namespace

std::string figure_text(std::string_view name, const Json& value) {
    if (const auto text = value.as_text()) return std::string(*text);
    if (const auto flag = value.as_bool()) return *flag ? "yes" : "no";
    const auto number = value.as_u64();
    return number ? number_text(unit_of(name), *number) : value.dump();
}

std::string figure_name(std::string_view name) {
    std::string out;
    while (!name.empty()) {
        const std::size_t end = std::min(name.find('.'), name.size());
        std::string_view part = name.substr(0, end);
        name.remove_prefix(std::min(end + 1, name.size()));
        const bool says_unit = part.ends_with("_ms") || part.ends_with("_us");
        if (says_unit) part.remove_suffix(3);
        out += out.empty() ? "" : ".";
        out += part;
    }
    return out;
}

}  // namespace segue::cli
