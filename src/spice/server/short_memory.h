// SPDX-License-Identifier: LGPL-2.1-or-later
// For tests: memory that is short at a chosen place.
#pragma once

#include <utility>

namespace segue::spice::server {

// Allocations of this thread that still succeed; negative: all do. Stands beside the tests' own
// `operator new` (pending_drawings_test.cpp).
extern thread_local int allocations_left;
// Only the first that fails does: the next ones succeed.
extern thread_local bool fails_once;

// While it lives.
class ShortMemory {
  public:
    explicit ShortMemory(int allocations, bool once = false)
        : before_(std::exchange(allocations_left, allocations)) {
        fails_once = once;
    }
    ~ShortMemory() { allocations_left = before_; }
    ShortMemory(const ShortMemory&) = delete;
    ShortMemory& operator=(const ShortMemory&) = delete;

  private:
    const int before_;
};

}  // namespace segue::spice::server
