// SPDX-License-Identifier: LGPL-2.1-or-later
// One client that moves here from another server, as a table without I/O: it linked its main
// channel with the id of a session elsewhere, and links its other channels before the machine
// arrives.
//
//   parked --MIGRATE_END (semi-seamless)--> settled     everything begins anew, once
//   parked --DO_SEAMLESS--> restoring --all state has come, or is late--> settled
//
// While parked no channel runs: their sockets wait here, and go when the client goes.
#pragma once

#include <cstdint>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace segue::spice::server {

class MigrationTarget {
  public:
    enum class State : std::uint8_t { parked, restoring, settled };
    enum class Event : std::uint8_t { channel_linked, do_seamless, migrate_end, state_came, late };

    // The newest way of handing over state that we read (SPICE_MIGRATION_PROTOCOL_VERSION).
    static constexpr std::uint32_t kProtocolVersion = 1;
    // Channels that one client may park here.
    static constexpr std::size_t kMostParked = 64;

    // --- Actions ---
    struct Park {};  // keep the socket that was just linked
    struct Connect {
        bool expects_data;
    };  // start its channel
    struct ConnectParked {
        bool expects_data;
    };
    struct SendAck {};
    struct SendNack {};
    struct SendInit {};
    // The client is as any other from now on.
    struct Settled {};
    using Action = std::variant<Park, Connect, ConnectParked, SendAck, SendNack, SendInit, Settled>;
    using Actions = std::vector<Action>;

    static bool allows(State state, Event event);

    // A channel of the client other than main. `overtaken`: it was linked before the state came,
    // and is heard of only now (links are answered by another thread).
    Result<Actions> channel_linked(std::size_t parked, bool overtaken = false);
    Result<Actions> do_seamless(std::uint32_t source_version);
    Result<Actions> migrate_end();
    // The main channel's own state has come: the last that settles the client. Behind late() it
    // changes nothing.
    Result<Actions> state_came();
    // The main channel's state did not come in time.
    Result<Actions> late();

    State state() const { return state_; }

  private:
    State state_ = State::parked;
};

std::string_view name_of(MigrationTarget::State state);
std::string_view name_of(MigrationTarget::Event event);

}  // namespace segue::spice::server
