// SPDX-License-Identifier: LGPL-2.1-or-later
// What somebody asked for with `segue protect`, as it is kept and as it travels.
#pragma once

#include "base/json.h"

namespace segue {

struct ProtectionWish {
    std::string standby;  // URI of the standby's daemon
    std::string witness;  // URI of a third daemon that decides; empty: nobody does, see below
    std::uint32_t interval_ms = 500;
    // Nobody named an interval: it follows the guest, and this is the longest.
    bool adapts = true;
    // Who goes on when the hosts do not hear each other: the primary (hold), or the standby.
    bool promote_on_loss = false;
    bool gate_at_primary = false;
    // The standby's guest runs too, and what both say leaves at once.
    bool hybrid = false;
    bool allow_tcg = false;
    // What clients see and hear waits for its checkpoint: else it may be ahead by one. What the
    // guest's agent and devices say to them always waits.
    bool screen_held = false;
    // Its disks are the same files at the standby: nothing is copied, and a guest that is taken
    // over starts anew from them.
    bool shared_storage = false;

    // Errors name the argument.
    static Result<ProtectionWish> parse(const Json& json);
    Json json() const;
    std::string_view mode() const { return hybrid ? "hybrid" : "periodic"; }
    bool has_witness() const { return !witness.empty(); }
    std::string_view on_loss() const { return promote_on_loss ? "promote" : "hold"; }
    // What holds when its host dies, in the words of its user.
    std::string_view promise() const;
    std::string_view screen() const { return screen_held ? "held" : "early"; }

    static constexpr std::uint32_t kMinIntervalMs = 10;
    static constexpr std::uint32_t kMaxIntervalMs = 60'000;
};

}  // namespace segue
