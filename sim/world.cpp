// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sim/world.h"

namespace segue::sim {

void World::after(Duration delay, std::function<void()> task) {
    entries_.push({now_ + delay, order_++, std::move(task)});
}

void World::after(Duration delay, const Lifeline& owner, std::function<void()> task) {
    after(delay, [weak = std::weak_ptr(owner), run = std::move(task)] {
        if (const auto alive = weak.lock()) run();
    });
}

bool World::step(Instant end) {
    if (entries_.empty() || entries_.top().at > end) return false;
    const Entry next = entries_.top();
    entries_.pop();
    now_ = next.at;
    next.task();
    return true;
}

Duration World::between(Duration low, Duration high) {
    const auto width = static_cast<std::uint64_t>((high - low).count()) + 1;
    return low + Duration(static_cast<Duration::rep>(random_.below(width)));
}

// FNV-1a.
void World::record(const std::string& line) {
    const std::string stamped = fmt::format("{:>10} {}", to_us(now_.since_start), line);
    for (const char character : stamped) {
        digest_ = (digest_ ^ static_cast<std::uint8_t>(character)) * 0x100000001b3;
    }
    if (verbose_) fmt::print("{}\n", stamped);
}

}  // namespace segue::sim
