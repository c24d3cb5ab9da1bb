// SPDX-License-Identifier: LGPL-2.1-or-later
// The log's front. One line per call, to the sink of the process (stderr until a program sets its
// own once, at start). `component` is the room's name; secrets never reach it.
#pragma once

#include <fmt/format.h>

#include <string_view>

namespace segue {

enum class LogLevel { debug, info, warning, error };

using LogSink = void (*)(LogLevel level, std::string_view component, std::string_view message);

void set_log_sink(LogSink sink);
// Lines below this level cost one comparison. Default: info, or SEGUE_LOG=debug|info|warning|error.
void set_log_level(LogLevel level);
bool log_enabled(LogLevel level);
void log_line(LogLevel level, std::string_view component, std::string_view message);

template <class... Args>
void log(LogLevel level, std::string_view component, fmt::format_string<Args...> format,
         Args&&... args) {
    if (log_enabled(level)) {
        log_line(level, component, fmt::format(format, std::forward<Args>(args)...));
    }
}
template <class... Args>
void log_debug(std::string_view component, fmt::format_string<Args...> format, Args&&... args) {
    log(LogLevel::debug, component, format, std::forward<Args>(args)...);
}
template <class... Args>
void log_info(std::string_view component, fmt::format_string<Args...> format, Args&&... args) {
    log(LogLevel::info, component, format, std::forward<Args>(args)...);
}
template <class... Args>
void log_warning(std::string_view component, fmt::format_string<Args...> format, Args&&... args) {
    log(LogLevel::warning, component, format, std::forward<Args>(args)...);
}
template <class... Args>
void log_error(std::string_view component, fmt::format_string<Args...> format, Args&&... args) {
    log(LogLevel::error, component, format, std::forward<Args>(args)...);
}

}  // namespace segue
