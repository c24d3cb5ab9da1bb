// SPDX-License-Identifier: LGPL-2.1-or-later
#include "viewer/events.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

namespace segue::viewer {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD

// Of the character that begins here, in bytes; 0 where none does (RFC 3629: no surrogates, nothing
// beyond U+10FFFF, nothing longer than it needs).
std::size_t utf8_size(std::string_view text) {
    const auto at = [&](std::size_t index) {
        return index < text.size() ? static_cast<unsigned char>(text[index]) : 0u;
    };
    const auto follows = [&](std::size_t index) { return (at(index) & 0xc0) == 0x80; };
    const unsigned first = at(0), second = at(1);
    if (first < 0x80) return 1;
    if (first >= 0xc2 && first <= 0xdf) return follows(1) ? 2 : 0;
    if (first >= 0xe0 && first <= 0xef) {
        const bool impossible =
            (first == 0xe0 && second < 0xa0) || (first == 0xed && second >= 0xa0);
        return !impossible && follows(1) && follows(2) ? 3 : 0;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        const bool impossible =
            (first == 0xf0 && second < 0x90) || (first == 0xf4 && second >= 0x90);
        return !impossible && follows(1) && follows(2) && follows(3) ? 4 : 0;
    }
    return 0;
}

}  // namespace

void EventLog::Close::operator()(std::FILE* file) const {
    if (file != stdout) std::fclose(file);
}

Result<EventLog> EventLog::open(const std::string& file) {
    EventLog log;
    if (file.empty()) return log;
    log.file_.reset(file == "-" ? stdout : std::fopen(file.c_str(), "we"));
    if (!log.file_) return fail_errno("open", file, errno);
    return log;
}

void EventLog::write(Instant at, std::string_view event, std::string_view fields) {
    if (!file_) return;
    const std::string line =
        fmt::format("{{\"t_us\":{},\"event\":\"{}\"{}{}}}\n", to_us(at.since_start), event,
                    fields.empty() ? "" : ",", fields);
    std::fwrite(line.data(), 1, line.size(), file_.get());
    std::fflush(file_.get());
}

std::size_t whole_characters(std::string_view text) {
    for (std::size_t back = 1; back <= std::min<std::size_t>(3, text.size()); ++back) {
        const auto byte = static_cast<unsigned char>(text[text.size() - back]);
        if ((byte & 0xc0) == 0x80) continue;
        const std::size_t size = byte < 0xc2 || byte > 0xf4 ? 1
                                 : byte < 0xe0              ? 2
                                 : byte < 0xf0              ? 3
                                                            : 4;
        return size > back ? text.size() - back : text.size();
    }
    return text.size();
}

std::string json_string(std::string_view text) {
    std::string result = "\"";
    while (!text.empty()) {
        const auto byte = static_cast<unsigned char>(text[0]);
        const std::size_t size = utf8_size(text);
        if (size == 0) {
            // No file name and no guest needs to speak UTF-8; JSON does.
            result += kReplacement;
        } else if (byte == '"' || byte == '\\') {
            result += {'\\', text[0]};
        } else if (byte < 0x20 || byte == 0x7f) {
            result += fmt::format("\\u{:04x}", byte);
        } else {
            result += text.substr(0, size);
        }
        text.remove_prefix(std::max<std::size_t>(size, 1));
    }
    return result + '"';
}

}  // namespace segue::viewer
