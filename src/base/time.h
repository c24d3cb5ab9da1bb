// SPDX-License-Identifier: LGPL-2.1-or-later
// Time as a seam: nobody but base/ reads a clock of the system.
#pragma once

#include <chrono>
#include <cstdint>

namespace segue {

using Duration = std::chrono::nanoseconds;
using std::chrono_literals::operator""ns;
using std::chrono_literals::operator""us;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

// A point on the monotonic clock of one host, or of one simulation.
struct Instant {
    Duration since_start{};

    friend auto operator<=>(const Instant&, const Instant&) = default;
    friend Instant operator+(Instant at, Duration by) { return {at.since_start + by}; }
    friend Instant operator-(Instant at, Duration by) { return {at.since_start - by}; }
    friend Duration operator-(Instant later, Instant earlier) {
        return later.since_start - earlier.since_start;
    }
};

class Clock {
  public:
    virtual ~Clock() = default;
    virtual Instant now() const = 0;
    // Wall clock, for records and for libvirt's "milliseconds since the epoch" fields.
    virtual std::chrono::system_clock::time_point wall() const = 0;
};

class SystemClock final : public Clock {
  public:
    Instant now() const override;
    std::chrono::system_clock::time_point wall() const override;
};

inline std::int64_t to_ms(Duration duration) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}
inline std::int64_t to_us(Duration duration) {
    return std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
}

}  // namespace segue
