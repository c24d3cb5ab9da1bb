// SPDX-License-Identifier: LGPL-2.1-or-later
#include "viewer/events.h"

#include <fmt/format.h>

#include <cerrno>

namespace segue::viewer {

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

std::string json_string(std::string_view text) {
    std::string result = "\"";
    for (const char character : text) {
        const auto byte = static_cast<unsigned char>(character);
        if (character == '"' || character == '\\') {
            result += '\\';
            result += character;
        } else if (byte < 0x20 || byte >= 0x7f) {
            result += fmt::format("\\u{:04x}", byte);
        } else {
            result += character;
        }
    }
    return result + '"';
}

}  // namespace segue::viewer
