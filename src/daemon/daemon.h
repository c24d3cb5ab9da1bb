// SPDX-License-Identifier: LGPL-2.1-or-later
// segued: owns everything, starts it in order, and ends it in order. VMs run on.
#pragma once

#include <memory>

#include "daemon/answer.h"
#include "daemon/conduct/records.h"
#include "daemon/domain_list.h"
#include "daemon/file_facts.h"
#include "daemon/log_keeper.h"
#include "daemon/metrics_server.h"
#include "daemon/peer_door.h"
#include "daemon/peer_errands.h"
#include "daemon/promise_keeper.h"
#include "daemon/protection/emulator_trial.h"
#include "daemon/protection/witness.h"
#include "daemon/service_manager.h"
#include "daemon/services.h"
#include "rpc/server.h"

namespace segue {

class Daemon {
  public:
    // `activated`: sockets that the service manager made for us.
    Daemon(RunLoop& loop, Settings settings, std::vector<ActivatedSocket> activated = {});
    ~Daemon();

    // State, store, the domains of the last run, and then the listeners. `started` comes once, on
    // the loop; errors name what to mend.
    void start(Answer<> started);
    // A changed configuration, and renewed certificates. After an error nothing has changed.
    Result<> reload(Settings wanted);
    // Serves no more; the loop may be stopped then.
    void stop();

  private:
    Result<> prepare();
    void add_calls();
    Result<> open_state();
    Result<> open_peer_door();
    Result<> listen();
    Result<> listen_read_only(const net::Address& address);
    net::ListenOptions local_sockets() const;
    Result<> listen_at(const net::Address& address, net::Descriptor socket);
    Result<> serve_metrics();
    // What of the metrics is only known when somebody asks.
    void measure();
    bool forget_promise(const migrate::Record& record);

    RunLoop& loop_;
    Settings settings_;
    std::vector<ActivatedSocket> activated_;
    SystemRandom random_;
    HostIdentity identity_;
    std::unique_ptr<storage::Store> store_;
    net::Resolver resolver_;
    PortBroker migration_ports_;
    PortBroker spice_ports_;
    Metrics metrics_;
    EventLog event_log_;
    rpc::Dispatcher calls_;
    rpc::EventHub events_;
    std::unique_ptr<EmulatorProbe> emulators_;
    PeerDoor peer_door_;
    PeerErrands peer_errands_;
    std::unique_ptr<DomainList> domains_;
    std::unique_ptr<MigrationRecords> migration_records_;
    std::unique_ptr<Witness> witness_;
    std::unique_ptr<Services> services_;
    std::unique_ptr<rpc::Server> server_;
    std::unique_ptr<MetricsServer> metrics_server_;
    std::unique_ptr<LogKeeper> logs_;
    std::unique_ptr<PromiseKeeper> promises_;
    // The first that go: what waits for their answers uses what stands above.
    std::unique_ptr<Workers> workers_;
    std::unique_ptr<FileAsker> files_;
    std::unique_ptr<SelfTests> self_tests_;
    Instant started_at_;
};

}  // namespace segue
