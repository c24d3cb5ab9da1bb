// SPDX-License-Identifier: LGPL-2.1-or-later
// Virtual time: one thread, one queue of events, one seed. The trace is folded into a digest, so
// that two runs of one seed can be compared.
#pragma once

#include <fmt/format.h>

#include <functional>
#include <memory>
#include <queue>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/time.h"

namespace segue::sim {

// Something that may disappear before its events come: they are then dropped.
using Lifeline = std::shared_ptr<const int>;
inline Lifeline make_lifeline() {
    return std::make_shared<const int>(0);
}

class World {
  public:
    explicit World(std::uint64_t seed) : random_(seed) {}

    Random& random() { return random_; }
    Instant now() const { return now_; }

    void after(Duration delay, std::function<void()> task);
    void after(Duration delay, const Lifeline& owner, std::function<void()> task);
    // Runs the next event; false when none is left or the next lies behind `end`.
    bool step(Instant end);

    // Uniform, inclusive.
    Duration between(Duration low, Duration high);
    bool chance(unsigned percent) { return random_.below(100) < percent; }

    template <class... Args>
    void trace(fmt::format_string<Args...> format, Args&&... args) {
        record(fmt::format(format, std::forward<Args>(args)...));
    }
    std::uint64_t digest() const { return digest_; }
    // Prints each line of the trace to stdout.
    void set_verbose(bool verbose) { verbose_ = verbose; }

  private:
    struct Entry {
        Instant at;
        std::uint64_t order;
        std::function<void()> task;
    };
    struct Later {
        bool operator()(const Entry& left, const Entry& right) const {
            return left.at == right.at ? left.order > right.order : left.at > right.at;
        }
    };
    void record(const std::string& line);

    SeededRandom random_;
    Instant now_;
    std::uint64_t order_ = 0;
    std::uint64_t digest_ = 0xcbf29ce484222325;
    bool verbose_ = false;
    std::priority_queue<Entry, std::vector<Entry>, Later> entries_;
};

}  // namespace segue::sim
