// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/process_facts.h"

#include <fmt/format.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>

namespace segue {
namespace {

// The fields of /proc/…/stat after the command, which stands in parentheses and may hold anything;
// index 0 is field 3 of proc(5), the state.
std::vector<std::string> stat_fields(const std::string& path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    const std::size_t end = line.rfind(')');
    if (end == std::string::npos) return {};
    std::istringstream rest(line.substr(end + 1));
    std::vector<std::string> fields;
    for (std::string field; rest >> field;)
        fields.push_back(field);
    return fields;
}

// proc(5) counts from 1; the first two fields are cut off.
constexpr std::size_t kUserTime = 14 - 3, kSystemTime = 15 - 3, kStart = 22 - 3, kResident = 24 - 3,
                      kProcessor = 39 - 3;

std::uint64_t number(const std::vector<std::string>& fields, std::size_t index) {
    return index < fields.size() ? std::strtoull(fields[index].c_str(), nullptr, 10) : 0;
}

std::uint64_t ticks_to_ns(std::uint64_t ticks) {
    static const auto rate = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
    return ticks * (1'000'000'000 / rate);
}

std::string thread_path(pid_t process, pid_t thread) {
    return fmt::format("/proc/{}/task/{}/stat", process, thread);
}

}  // namespace

ProcessFacts facts_of(pid_t process) {
    const auto fields = stat_fields(fmt::format("/proc/{}/stat", process));
    static const auto page_kib = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) / 1024;
    return {ticks_to_ns(number(fields, kUserTime)), ticks_to_ns(number(fields, kSystemTime)),
            number(fields, kResident) * page_kib};
}

std::uint64_t cpu_time_ns_of(pid_t process, pid_t thread) {
    const auto fields = stat_fields(thread_path(process, thread));
    return ticks_to_ns(number(fields, kUserTime) + number(fields, kSystemTime));
}

int processor_of(pid_t process, pid_t thread) {
    const auto fields = stat_fields(thread_path(process, thread));
    return fields.empty() ? -1 : static_cast<int>(number(fields, kProcessor));
}

std::uint64_t start_ticks_of(pid_t process) {
    return number(stat_fields(fmt::format("/proc/{}/stat", process)), kStart);
}

}  // namespace segue
