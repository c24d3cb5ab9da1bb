// SPDX-License-Identifier: LGPL-2.1-or-later
#include "protect/memory_room.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <limits>

namespace segue {
namespace {

// "MemAvailable:   123 kB" and "SwapFree:". A host that does not say has no limit of its own.
std::uint64_t host_room() {
    std::ifstream file("/proc/meminfo");
    std::uint64_t available = 0, swap = 0;
    bool known = false;
    std::string name, unit;
    for (std::uint64_t kilobytes = 0; file >> name >> kilobytes; std::getline(file, unit)) {
        if (name == "MemAvailable:") {
            available = kilobytes << 10;
            known = true;
        }
        if (name == "SwapFree:") swap = kilobytes << 10;
    }
    return known ? available + swap : std::numeric_limits<std::uint64_t>::max();
}

}  // namespace

Result<MemoryRoom> measure_room(const std::string& directory) {
    struct statvfs system {};
    if (::statvfs(directory.c_str(), &system) != 0) return fail_errno("look at", directory, errno);
    MemoryRoom room;
    room.file_system = std::uint64_t{system.f_bavail} * system.f_frsize;
    room.host = host_room();
    constexpr std::uint64_t kStatBlock = 512;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(directory, ignored)) {
        struct stat status {};
        if (::lstat(entry.path().c_str(), &status) == 0 && S_ISREG(status.st_mode)) {
            room.held += static_cast<std::uint64_t>(status.st_blocks) * kStatBlock;
        }
    }
    return room;
}

Result<> check_room(const MemoryRoom& room, std::uint64_t wanted, const std::string& directory) {
    const bool is_small_system = room.file_system < room.host;
    const std::uint64_t free = std::min(room.file_system, room.host);
    if (wanted <= room.held || wanted - room.held <= free) return {};
    return fail(ErrorCode::no_memory,
                "the guest's memory of {} MiB does not fit: '{}' can have {} MiB, the limit is {}; "
                "{}, or protect a smaller guest",
                (wanted + (1U << 20) - 1) >> 20, directory, (free + room.held) >> 20,
                is_small_system ? "its tmpfs" : "this host's free memory",
                is_small_system ? "enlarge it (mount -o remount,size=...)"
                                : "end what else uses memory here");
}

}  // namespace segue
