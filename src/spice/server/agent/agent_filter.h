// SPDX-License-Identifier: LGPL-2.1-or-later
// Which messages between the guest's agent and a client may pass: the header of each is read in the
// stream of pieces (VDAgentMessage of spice/vd_agent.h). A header never spans two pieces.
#pragma once

#include <cstdint>
#include <functional>

#include "base/bytes.h"

namespace segue::spice::server {

// What the embedder allows (agent-copypaste, agent-file-xfer).
struct AgentRules {
    bool copy_paste = true;
    bool file_transfer = true;
    // Whether the display devices take the client's monitors themselves, asked each time: it is
    // the guest's drivers that say so. Empty: no.
    std::function<bool()> monitors_to_devices;
};

class AgentFilter {
  public:
    // The numbers travel in a hand-over.
    enum class Verdict : std::uint8_t { pass = 0, drop = 1, broken = 2, monitors = 3 };

    Verdict process(ByteView piece, const AgentRules& rules);
    // The message that a piece so far belongs to has more to come.
    bool in_message() const { return remaining_ > 0; }
    std::uint32_t remaining() const { return remaining_; }
    Verdict verdict() const { return verdict_; }
    // Numbers that came through a client. The rest of a configuration of monitors is of no use.
    void restore(std::uint32_t remaining, std::uint8_t verdict) {
        remaining_ = remaining;
        verdict_ = verdict == 0 ? Verdict::pass : Verdict::drop;
    }

  private:
    std::uint32_t remaining_ = 0;  // bytes of the message that is under way
    Verdict verdict_ = Verdict::pass;
};

}  // namespace segue::spice::server
