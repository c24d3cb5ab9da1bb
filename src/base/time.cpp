// SPDX-License-Identifier: LGPL-2.1-or-later
#include "base/time.h"

namespace segue {

Instant SystemClock::now() const {
    return {std::chrono::steady_clock::now().time_since_epoch()};
}
std::chrono::system_clock::time_point SystemClock::wall() const {
    return std::chrono::system_clock::now();
}

}  // namespace segue
