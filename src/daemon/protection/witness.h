// SPDX-License-Identifier: LGPL-2.1-or-later
// This host as the witness of protections between two others: their leases, the socket at which
// they are asked for, and a record of each, so that a restart forgets no decision.
#pragma once

#include <map>
#include <memory>

#include "base/json.h"
#include "daemon/host.h"
#include "daemon/peer_door.h"
#include "daemon/ports.h"
#include "net/descriptor.h"
#include "protect/agent_link.h"
#include "protect/lease.h"
#include "store/store.h"

namespace segue {

class Witness {
  public:
    Witness(Loop& loop, storage::Store& store, PortBroker& ports, const PeerDoor& door,
            const HostIdentity& identity)
        : loop_(loop), store_(store), ports_(ports), door_(door), identity_(identity) {}

    // What the daemon of a primary asks, on its authenticated connection: `witness-open` (key,
    // secret, name) begins a lease and tells where it is renewed; `witness-claim` (key, side)
    // settles who goes on; `witness-end` (key) forgets.
    Result<Json> open(const Json& arguments);
    Result<Json> claim(const Json& arguments);
    Result<Json> end(const Json& arguments);

    // After a restart of the daemon.
    void restore(const storage::ProtectionRecord& record);

  private:
    struct Watched {
        AgentKey key{};
        std::string name;                        // of the domain, for people
        std::optional<LeaseTable::Holder> kept;  // as the store has it
    };
    Result<> listen(std::uint16_t port);
    Result<> listen_somewhere();
    void rest_if_idle();
    void receive();
    void answer(ByteView datagram, const net::SocketAddress& sender);
    // The decision that stands is in the store, or an error says why not.
    Result<> keep(const LeaseId& id);

    Loop& loop_;
    storage::Store& store_;
    PortBroker& ports_;
    const PeerDoor& door_;
    const HostIdentity& identity_;
    LeaseTable table_;
    std::map<LeaseId, Watched> watched_;
    std::uint16_t port_ = 0;
    net::Descriptor socket_;
    std::unique_ptr<Watch> watch_;
};

}  // namespace segue
