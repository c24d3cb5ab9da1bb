// SPDX-License-Identifier: LGPL-2.1-or-later
#include "protect/loss_table.h"

#include <array>

namespace segue::loss {
namespace {

template <class... Values>
constexpr unsigned any_of(Values... values) {
    return ((1U << static_cast<unsigned>(values)) | ...);
}
constexpr unsigned kAny = ~0U;

constexpr std::array kRows = {
    Row{kAny, any_of(Said::taken), kAny, kAny, Course::stands_still,
        "the standby runs the guest, or is about to"},
    Row{kAny, any_of(Said::given_up), kAny, kAny, Course::goes_on, "the standby never will"},
    Row{any_of(Held::nothing), any_of(Said::nothing), kAny, kAny, Course::goes_on,
        "the standby has nothing to run"},

    Row{any_of(Held::first_state), any_of(Said::nothing), any_of(Bias::hold), kAny, Course::goes_on,
        "the standby does nothing by itself"},
    Row{any_of(Held::first_state), any_of(Said::nothing), any_of(Bias::promote), kAny,
        Course::stands_still, "the standby takes over if it has committed"},
    Row{any_of(Held::first_state), any_of(Said::nothing), any_of(Bias::witness), kAny, Course::asks,
        "the standby asks too if it has committed"},

    Row{any_of(Held::epochs), any_of(Said::nothing), kAny, any_of(Guest::frozen),
        Course::stands_still, "the standby may have been told to run it"},
    Row{any_of(Held::epochs), any_of(Said::nothing), any_of(Bias::hold),
        any_of(Guest::runs, Guest::paused), Course::goes_on, "the standby does nothing by itself"},
    Row{any_of(Held::epochs), any_of(Said::nothing), any_of(Bias::promote),
        any_of(Guest::runs, Guest::paused), Course::stands_still, "the standby takes over"},
    Row{any_of(Held::epochs), any_of(Said::nothing), any_of(Bias::witness),
        any_of(Guest::runs, Guest::paused), Course::asks, "the standby asks too"},
};

}  // namespace

std::span<const Row> table() {
    return kRows;
}

bool applies(const Row& row, const Case& one) {
    const auto has = [](unsigned bits, auto value) { return (bits & any_of(value)) != 0; };
    return has(row.held, one.held) && has(row.said, one.said) && has(row.bias, one.bias) &&
           has(row.guest, one.guest);
}

Course who_goes_on(const Case& one) {
    for (const Row& row : kRows)
        if (applies(row, one)) return row.course;
    return Course::stands_still;
}

std::string_view name_of(Course course) {
    switch (course) {
        case Course::goes_on: return "goes on";
        case Course::asks: return "asks the witness";
        case Course::stands_still: return "stands still";
    }
    return "unknown";
}

}  // namespace segue::loss
