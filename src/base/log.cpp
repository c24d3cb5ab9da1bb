// SPDX-License-Identifier: LGPL-2.1-or-later
#include "base/log.h"

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace segue {
namespace {

const char* const kLevelNames[] = {"debug", "info", "warning", "error"};

LogLevel level_from_environment() {
    const char* wanted = std::getenv("SEGUE_LOG");
    if (wanted == nullptr) return LogLevel::info;
    for (int level = 0; level < 4; ++level) {
        if (std::strcmp(wanted, kLevelNames[level]) == 0) return static_cast<LogLevel>(level);
    }
    return LogLevel::info;
}

// What a guest, a peer or a file name brings along cannot begin an entry of its own (further lines
// stand behind a mark), nor steer the terminal that shows it.
std::string without_control(std::string_view message) {
    while (!message.empty() && message.back() == '\n')
        message.remove_suffix(1);
    std::string line;
    line.reserve(message.size());
    for (const char character : message) {
        const auto byte = static_cast<unsigned char>(character);
        if (character == '\n') {
            line += "\n  | ";
        } else if (byte < 0x20 || byte == 0x7f) {
            line += fmt::format("\\x{:02x}", byte);
        } else {
            line += character;
        }
    }
    return line;
}

void write_to_stderr(LogLevel level, std::string_view component, std::string_view message) {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    tm parts{};
    gmtime_r(&now.tv_sec, &parts);
    const std::string line =
        fmt::format("{:02}:{:02}:{:02}.{:06} {} {}: {}\n", parts.tm_hour, parts.tm_min,
                    parts.tm_sec, now.tv_nsec / 1000, kLevelNames[static_cast<int>(level)],
                    component, without_control(message));
    // One write, so that lines of several threads do not mix; a full or closed stderr is no error.
    [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

// Process-wide by nature: the log is the process's one voice. Set once at start.
std::atomic<LogSink> sink{&write_to_stderr};
std::atomic<LogLevel>& lowest() {
    static std::atomic<LogLevel> level{level_from_environment()};
    return level;
}

}  // namespace

void set_log_sink(LogSink new_sink) {
    sink.store(new_sink);
}
void set_log_level(LogLevel level) {
    lowest().store(level);
}
bool log_enabled(LogLevel level) {
    return level >= lowest().load(std::memory_order_relaxed);
}
void log_line(LogLevel level, std::string_view component, std::string_view message) {
    sink.load()(level, component, message);
}

}  // namespace segue
