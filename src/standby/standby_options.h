// SPDX-License-Identifier: LGPL-2.1-or-later
// The command line of segue-standby.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "net/address.h"
#include "protect/agent_link.h"
#include "protect/divergence_judge.h"
#include "standby/witness_line.h"

namespace segue::standby {

struct Options {
    enum class OnLoss { hold, promote };
    struct Disk {
        std::optional<net::Address> address;  // nothing: the agent writes
        std::string image;
    };
    // An Ethernet-over-UDP peer, QEMU's `-netdev socket,udp=`.
    struct UdpPeer {
        net::SocketAddress remote, local;
    };
    struct Net {
        // At most one of the two: a stream listener, or the path of a datagram socket. None: the
        // agent brings the frames.
        std::optional<net::Address> stream;
        std::string datagram_path;
        // The other side of the gate, one of the two: path of a unix socket, or a peer.
        std::string out;
        std::optional<UdpPeer> out_udp;
    };

    std::optional<net::Address> listen;  // of a bare QEMU
    std::optional<net::Address> agent;   // or of its agent
    AgentKey agent_key{};
    std::string state;
    // In the order of the VM's cards and disks; of a bare QEMU at most one each.
    std::vector<Net> networks;
    std::vector<Disk> disks;
    // Images that both hosts see: nothing of them is kept here, and the guest starts anew from them
    // when nobody else writes to them. Empty: it goes on from its last checkpoint.
    std::vector<std::string> shared_disks;
    std::string tls;  // directory with ca-cert.pem, server-cert.pem, server-key.pem
    OnLoss on_loss = OnLoss::hold;
    std::optional<WitnessOptions> witness;  // who decides when the primary is lost
    bool prestart = false;
    bool hybrid = false;  // the secondary runs too
    // More differences than this within five seconds are too many for hybrid mode.
    std::size_t differences = DivergenceJudge::Limits().differences;
    std::vector<std::string> vm;  // the emulator and its arguments; may be empty
};

// What the program must do: run with options, or print `text` and exit with `exit_code`.
struct Parsed {
    std::optional<Options> options;
    std::string text;
    int exit_code = 0;
};
Parsed parse_command_line(int argc, const char* const* argv);

}  // namespace segue::standby
