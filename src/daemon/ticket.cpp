// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/ticket.h"

#include <charconv>
#include <ctime>

namespace segue {
namespace {

// 9999-12-31T23:59:59: what a definition can say.
constexpr std::int64_t kLastSecond = 253402300799;

std::optional<std::string> text_of(std::int64_t seconds) {
    if (seconds < 0 || seconds > kLastSecond) return std::nullopt;
    const auto time = static_cast<std::time_t>(seconds);
    std::tm parts{};
    if (::gmtime_r(&time, &parts) == nullptr) return std::nullopt;
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", parts.tm_year + 1900,
                       parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

// QEMU's words: never, now, "+30" (seconds from now), seconds since the epoch. Nothing: for ever.
std::optional<std::string> valid_to(std::string_view time, std::int64_t now) {
    if (time == "now") return text_of(now);
    const bool relative = time.starts_with('+');
    if (relative) time.remove_prefix(1);
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(time.data(), time.data() + time.size(), number);
    if (error != std::errc() || end != time.data() + time.size()) return std::nullopt;
    if (number < 0 || number > kLastSecond) return std::nullopt;
    return text_of(relative ? now + number : number);
}

// The words of a line of QEMU's human monitor: one may stand in double quotes, where a backslash
// stands before a quote, a backslash, or the n or r of an end of line (get_str, monitor/hmp.c).
std::vector<std::string> words_of(std::string_view line) {
    std::vector<std::string> words;
    for (std::size_t at = 0; at < line.size();) {
        if (line[at] == ' ') {
            ++at;
            continue;
        }
        const bool quoted = line[at] == '"';
        std::string word;
        for (at += quoted; at < line.size() && line[at] != (quoted ? '"' : ' '); ++at) {
            const bool escaped = quoted && line[at] == '\\' && at + 1 < line.size();
            const char letter = escaped ? line[++at] : line[at];
            word += escaped && letter == 'n' ? '\n' : escaped && letter == 'r' ? '\r' : letter;
        }
        at += quoted;
        words.push_back(std::move(word));
    }
    return words;
}

}  // namespace

bool note_ticket(Domain& live, std::string_view command, const Json& arguments, std::int64_t now) {
    if (command != "set_password" && command != "expire_password") return false;
    for (Graphics& graphics : live.graphics) {
        if (name_of(graphics.type) != arguments.text("protocol")) continue;
        if (command == "expire_password") {
            graphics.password_valid_to = valid_to(arguments.text("time"), now);
            return true;
        }
        graphics.password = std::string(arguments.text("password"));
        return true;
    }
    return false;
}

bool note_ticket(Domain& live, std::string_view line, std::int64_t now) {
    const std::vector<std::string> words = words_of(line);
    if (words.size() < 3) return false;
    const char* value = words[0] == "set_password" ? "password" : "time";
    return note_ticket(live, words[0], Json::object({{"protocol", words[1]}, {value, words[2]}}),
                       now);
}

}  // namespace segue
