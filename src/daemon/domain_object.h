// SPDX-License-Identifier: LGPL-2.1-or-later
// One domain on this host: its definition, its incarnation (the QEMU that runs it now), its job,
// and where it stands in the store. What is done with it stands elsewhere: life.h, conduct/.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/domain_state.h"
#include "daemon/transfer.h"
#include "domain/domain.h"
#include "domain/guest_cpu.h"
#include "migrate/job.h"
#include "migrate/peer_link.h"
#include "observe/timeline.h"
#include "rpc/header.schema.h"

namespace segue {

class Guest;
class SourceConduct;
class DestinationConduct;
class PrimaryProtection;
class StandbyProtection;

// What virsh migrate-setspeed and its siblings set: for the next migration, and for one that runs.
struct MigrationTuning {
    std::uint64_t speed_mib = 0;                  // MiB/s; 0: no limit
    std::uint64_t downtime_ms = 300;              // QEMU's own default
    std::uint64_t compression_cache = 64U << 20;  // bytes
};

// The last migration that is over: domjobinfo --completed, and `segue status`.
struct FinishedJob {
    std::int32_t operation = 0;  // virDomainJobOperation
    std::optional<Error> error;  // none: it succeeded
    TransferStatistics transfer;
    std::uint64_t elapsed_ms = 0;
    std::int64_t ended_ms = 0;  // by the wall clock
    // Its statistics were asked for to be kept no longer: only its outcome is told from then on.
    bool statistics_taken = false;
    Timeline timeline;
};

// One life of a QEMU process. Name, uuid, sockets and ports belong to it, so that an instant
// migration back finds nothing of the last one in its way.
struct Incarnation {
    std::string key;  // also the name of its directory
    std::string directory;
    Domain live;                       // with aliases, addresses and ports
    std::optional<GuestCpu> cpu;       // what its QEMU says that the guest sees
    std::vector<std::uint16_t> ports;  // of the graphics; given back at the end
    std::unique_ptr<Guest> guest;
    // Ended by us, for this reason; empty: whatever ends it was not ours.
    std::optional<DomainStatus> ending;
    // QEMU has been told to quit, and nobody forces it: when it ends, it was destroyed.
    bool told_to_quit = false;
    bool reboot_wanted = false;  // a shutdown by the guest that is to start it anew
    // What the daemon before us knew of it, until its QEMU has said what it does.
    std::optional<DomainStatus> status_before;

    Incarnation();
    ~Incarnation();
};

class DomainObject : public std::enable_shared_from_this<DomainObject> {
  public:
    DomainObject(Uuid own_uuid, std::string own_name);
    ~DomainObject();

    bool is_active() const { return incarnation != nullptr; }
    bool is_persistent() const { return persistent.has_value(); }
    std::int32_t id() const;
    rpc::DomainRef ref() const { return {name, uuid, id()}; }
    // The running one, else the stored one, else what is left of the last that ran: a transient
    // domain that arrives, or that went before its migration was settled, has neither.
    const Domain& model() const;

    // The incarnation, which is over for this domain; its model remains.
    std::unique_ptr<Incarnation> take_incarnation();

    Result<Guest*> running_guest() const;  // error 55 "domain is not running"

    const Uuid uuid;
    const std::string name;
    std::optional<Domain> persistent;
    std::unique_ptr<Incarnation> incarnation;
    Domain remains;  // its name and uuid at least
    DomainStatus status;
    std::int64_t status_since_ms = 0;
    bool autostart = false;

    migrate::DomainJobs jobs;
    MigrationTuning tuning;
    std::optional<FinishedJob> last_job;
    std::shared_ptr<SourceConduct> source;
    std::shared_ptr<DestinationConduct> destination;
    // It runs here and has a standby elsewhere; a standby of it is, or was, kept here.
    std::shared_ptr<PrimaryProtection> primary;
    std::shared_ptr<StandbyProtection> standby;
    // Called once each, when the QEMU that runs now is gone.
    std::vector<std::function<void()>> gone_waiters;
    // What an administrator must decide; empty: nothing.
    std::string unresolved;
};

using DomainPointer = std::shared_ptr<DomainObject>;

// In words: its QEMU does not answer yet, and what was under way waits for that. Empty: it does.
std::string recovering(const DomainObject& domain);

}  // namespace segue
