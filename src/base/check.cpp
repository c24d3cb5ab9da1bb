// SPDX-License-Identifier: LGPL-2.1-or-later
#include "base/check.h"

#include <atomic>
#include <cstdlib>

#include "base/log.h"

namespace segue {
namespace {

// The one counter of the process; a metric reads it. Never reset, so no test depends on its value.
std::atomic<std::uint64_t> failures{0};

}  // namespace

void ensure_failed(const char* condition, const char* file, int line) {
    log(LogLevel::error, "check", "{}:{}: '{}' does not hold: stopping", file, line, condition);
    std::abort();
}

bool contain_failed(const char* condition, const char* file, int line) {
    failures.fetch_add(1, std::memory_order_relaxed);
    log(LogLevel::error, "check", "{}:{}: '{}' does not hold: contained", file, line, condition);
    return false;
}

std::uint64_t contained_failures() {
    return failures.load(std::memory_order_relaxed);
}

}  // namespace segue
