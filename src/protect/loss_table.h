// SPDX-License-Identifier: LGPL-2.1-or-later
// Who goes on when an agent and its standby part. The agent decides for its guest by this table
// alone; whatever the standby may do then is what the other half of each row's reason says. A test
// proves that each case has exactly one row, and docs/colo.md shows them.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace segue::loss {

// What the standby may have committed of this guest.
enum class Held : std::uint8_t {
    nothing,
    first_state,  // it was whole on its way: its word may be lost with the link
    epochs,
};
// What the standby has said about itself.
enum class Said : std::uint8_t {
    nothing,
    given_up,  // it never takes over
    taken,     // it takes over
};
// Chosen at `protect`.
enum class Bias : std::uint8_t { hold, promote, witness };
enum class Guest : std::uint8_t {
    runs,
    frozen,  // in a planned failover: the standby has the state it stands still in
    paused,  // by its user, in the state that the standby has: whoever goes on leaves it so
};

enum class Course : std::uint8_t {
    goes_on,       // alone
    asks,          // the witness; nothing leaves until it has spoken
    stands_still,  // nothing leaves until an operator has spoken
};

struct Case {
    Held held = Held::nothing;
    Said said = Said::nothing;
    Bias bias = Bias::hold;
    Guest guest = Guest::runs;
};

// A row is for every case whose four bits are all set in it.
struct Row {
    unsigned held, said, bias, guest;
    Course course;
    std::string_view reason;
};
std::span<const Row> table();
bool applies(const Row& row, const Case& one);

// Its only row.
Course who_goes_on(const Case& one);

std::string_view name_of(Course course);

}  // namespace segue::loss
