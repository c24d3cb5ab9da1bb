// SPDX-License-Identifier: LGPL-2.1-or-later
#include "observe/timeline.h"

#include <algorithm>

namespace segue {

void Timeline::begin(std::string_view name, std::string_view where, Instant at) {
    end(name, where, at);
    if (phases_.size() >= kMaxEntries) return;
    phases_.push_back({std::string(name), std::string(where), at - start_, std::nullopt});
}

void Timeline::end(std::string_view name, std::string_view where, Instant at) {
    for (Phase& phase : phases_) {
        if (!phase.end && phase.name == name && phase.where == where) {
            phase.end = std::max(phase.start, at - start_);
        }
    }
}

void Timeline::close(Instant at) {
    for (Phase& phase : phases_) {
        if (!phase.end) phase.end = std::max(phase.start, at - start_);
    }
}

void Timeline::mark(std::string_view name, std::string_view where, Instant at) {
    if (marks_.size() >= kMaxEntries) return;
    marks_.push_back({std::string(name), std::string(where), at - start_});
}

void Timeline::number(std::string_view name, std::int64_t value) {
    for (Number& number : numbers_) {
        if (number.name == name) {
            number.value = value;
            return;
        }
    }
    if (numbers_.size() >= kMaxEntries) return;
    numbers_.push_back({std::string(name), value});
}

std::optional<std::int64_t> Timeline::find_number(std::string_view name) const {
    for (const Number& number : numbers_) {
        if (number.name == name) return number.value;
    }
    return std::nullopt;
}

Duration Timeline::length() const {
    Duration last{};
    for (const Phase& phase : phases_)
        last = std::max(last, phase.end.value_or(phase.start));
    for (const Mark& mark : marks_)
        last = std::max(last, mark.at);
    return last;
}

}  // namespace segue
