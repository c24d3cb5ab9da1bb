// SPDX-License-Identifier: LGPL-2.1-or-later
// Three levels of a broken promise:
//   ENSURE(x)   fatal; daemons, tools and tests only, never in code that runs inside QEMU
//   CONTAIN(x)  false is logged and counted; the caller closes one client, channel or job
//   ASSUME(x)   debug builds only
#pragma once

#include <cstdint>

namespace segue {

[[noreturn]] void ensure_failed(const char* condition, const char* file, int line);

// Logs the first of a kind and counts all. Returns false, so that `if (!CONTAIN(x)) return …`
// reads.
bool contain_failed(const char* condition, const char* file, int line);

// How many CONTAIN checks have failed in this process.
std::uint64_t contained_failures();

}  // namespace segue

#define ENSURE(condition) \
    ((condition) ? void() : ::segue::ensure_failed(#condition, __FILE__, __LINE__))
#define CONTAIN(condition) \
    ((condition) ? true : ::segue::contain_failed(#condition, __FILE__, __LINE__))
#ifdef NDEBUG
#define ASSUME(condition) void(sizeof(!(condition)))
#else
#define ASSUME(condition) ENSURE(condition)
#endif
