// SPDX-License-Identifier: LGPL-2.1-or-later
// One run of a protected guest: QEMU, agent, link, standby and the world outside, with one fault at
// any moment. The agent's session, the reader of QEMU's stream, both tables, the gate and the
// frames of the link are the real ones; what the programs around them decide is repeated here.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace segue::sim {

enum class ProtectionFault : std::uint8_t {
    none,
    qemu_dies,  // on a host that lives and says so
    host_dies,  // without a word
    agent_dies,
    standby_dies,
    link_cut,      // each side finds out in its own time
    agent_sleeps,  // does nothing for a while, and then finds what came meanwhile
    copy_ends,     // QEMU's copy of the disk, by itself: the guest writes on
    given_up,      // `unprotect`
    given_up_cut,  // the same, in the moment in which the link breaks
    taken_over,    // `failover --force` while both live
    link_closed,   // the standby closes it; the agent finds out in its own time
};
inline constexpr int kProtectionFaults = 12;

// With a witness, another one besides, at another moment.
enum class WitnessFault : std::uint8_t { none, witness_dies, primary_cut_off, standby_cut_off };
inline constexpr int kWitnessFaults = 4;

// Rules that are broken on purpose, to see that the run finds it.
enum class ProtectionMistake : std::uint8_t {
    none,
    release_early,     // the agent lets frames go when QEMU is answered, not when it is committed
    look_past_commit,  // the standby does not stop looking at its input while it commits
    forget_the_lease,  // the agent lets frames go without one
    believe_nobody,    // a side that loses the other goes on without the witness's word
    seal_blindly,      // the agent does not look whether the disk's copy lives when it seals
    end_unheard,       // a guest that was given up goes on before the standby knows
    take_unheard,      // the standby takes over before the primary has said that it stands still
    break_the_word,    // the standby takes over though it has promised not to yet
};

struct ProtectionOptions {
    std::uint64_t seed = 1;
    ProtectionMistake mistake = ProtectionMistake::none;
    bool verbose = false;
};

struct ProtectionResult {
    std::vector<std::string> violations;
    std::uint64_t digest = 0;
    bool was_protected = false;
    bool promoted = false;
    bool had_witness = false;
};

// What must hold:
//   1. nothing that outside ever heard of the primary is unknown to a guest that is promoted;
//   2. outside hears each number once; with the gate at the standby a promotion leaves no gap;
//   3. no epoch is committed whose disk knows less than its memory;
//   4. in the end the side is heard that the bias or the witness names, and no other;
//   5. where a standby takes over by itself, nothing of the primary is heard after the first word
//   of
//      the promoted guest; and a primary whose standby is linked is heard, witness or not.
ProtectionResult run_protection(const ProtectionOptions& options);

}  // namespace segue::sim
