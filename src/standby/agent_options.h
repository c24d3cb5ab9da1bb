// SPDX-License-Identifier: LGPL-2.1-or-later
// The command line of segue-agent.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "net/address.h"
#include "protect/agent_link.h"
#include "standby/witness_line.h"

namespace segue::standby {

struct AgentOptions {
    enum class Gate { standby, primary };
    // Who goes on when the two hosts do not hear each other: the primary, or the standby.
    enum class OnLoss { hold, promote };

    std::string state;     // directory of this agent's own
    net::Address standby;  // where segue-standby --agent listens
    AgentKey key{};
    Gate gate = Gate::standby;
    OnLoss on_loss = OnLoss::hold;
    std::vector<std::uint64_t> disk_bytes;  // serve disk legs of these sizes
    std::size_t cards = 1;                  // network cards
    std::string tls;                        // directory with ca-cert, client-cert, client-key
    std::string tls_name;                   // what the standby's certificate must carry
    std::optional<WitnessOptions> witness;  // who decides when the standby is lost
    bool hybrid = false;                    // the standby's guest runs too
    std::string screen;  // SPICE control socket of QEMU, whose clients see committed states only
    bool picture_passes = false;  // but for display, pointer and sound
    std::int32_t qemu = 0;        // process to watch; 0: none
};

struct ParsedAgent {
    std::optional<AgentOptions> options;
    std::string text;
    int exit_code = 0;
};
ParsedAgent parse_agent_command_line(int argc, const char* const* argv);

}  // namespace segue::standby
