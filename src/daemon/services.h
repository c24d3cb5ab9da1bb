// SPDX-License-Identifier: LGPL-2.1-or-later
// What every part of the daemon stands on. References: the Daemon owns all of it, and outlives
// them.
#pragma once

#include "base/loop.h"
#include "base/random.h"
#include "daemon/host.h"
#include "daemon/ports.h"
#include "daemon/settings.h"
#include "net/resolve.h"
#include "observe/event_log.h"
#include "observe/metrics.h"
#include "qemu/probe.h"
#include "rpc/event_hub.h"
#include "store/store.h"

namespace segue {

class DomainList;
class FileAsker;
class MigrationRecords;
class PeerDoor;
class PeerErrands;
class SelfTests;
class Witness;
class Workers;

struct Services {
    Loop& loop;
    Random& random;
    const Settings& settings;
    const HostIdentity& identity;
    storage::Store& store;
    rpc::EventHub& events;
    PortBroker& migration_ports;
    PortBroker& spice_ports;
    net::Resolver& resolver;
    Metrics& metrics;
    EventLog& event_log;
    DomainList& domains;
    PeerDoor& peer_door;
    EmulatorProbe& emulators;
    MigrationRecords& migration_records;
    PeerErrands& peer_errands;
    Witness& witness;
    Workers& workers;
    FileAsker& files;
    SelfTests& self_tests;

    // Milliseconds since the epoch.
    std::int64_t wall_ms() const {
        return std::chrono::duration_cast<std::chrono::milliseconds>(
                   loop.clock().wall().time_since_epoch())
            .count();
    }
};

}  // namespace segue
