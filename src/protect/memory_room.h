// SPDX-License-Identifier: LGPL-2.1-or-later
// Whether a guest's memory fits into this host's before any of it is taken: a stream may claim
// what it likes, and shared memory that is not there kills whoever writes to it (SIGBUS), or
// somebody else (the kernel's OOM killer).
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace segue {

struct MemoryRoom {
    std::uint64_t file_system = 0;  // bytes free in the tmpfs
    std::uint64_t host = 0;         // bytes of memory and swap that the host could still give
    std::uint64_t held = 0;         // bytes that the directory's own files have already
};

// What there is now for files in this directory. Error: the directory cannot be looked at.
Result<MemoryRoom> measure_room(const std::string& directory);

// Error no_memory, which names the size, the limit and the remedy.
Result<> check_room(const MemoryRoom& room, std::uint64_t wanted, const std::string& directory);

}  // namespace segue
