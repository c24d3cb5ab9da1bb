// SPDX-License-Identifier: LGPL-2.1-or-later
// A client's connection after the link handshake, on its way to the thread of its channel.
#pragma once

#include <cstdint>
#include <memory>

#include "spice/server/channel.h"
#include "spice/server/device.h"
#include "spice/server/transport.h"

namespace segue::spice::server {

// Names one connection for the life of the server.
using LinkId = std::uint64_t;

struct LinkedSocket {
    LinkId id = 0;
    std::unique_ptr<Transport> transport;
    std::shared_ptr<PeerInfo> peer;
    ChannelSetup setup;
    // The session that the client named; 0 never: a new session has its number already.
    std::uint32_t connection_id = 0;
    // Main channel: the client named a session of another server, which moves here.
    bool is_migration_target = false;
};

}  // namespace segue::spice::server
