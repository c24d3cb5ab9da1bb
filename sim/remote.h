// SPDX-License-Identifier: LGPL-2.1-or-later
// A daemon as its clients see it, other daemons among them: the real rpc::Client over a simulated
// connection.
#pragma once

#include "rpc/client.h"
#include "sim/call.h"
#include "sim/sim_link.h"

namespace segue::sim {

struct Cluster;

class RemoteDaemon {
  public:
    // Null when there is no way to it. `from`: the calling party.
    static std::unique_ptr<RemoteDaemon> connect(Cluster& cluster, Loop& loop, int from, int host);
    RemoteDaemon(Loop& loop, std::shared_ptr<Connection> connection);
    // Without a goodbye, as a process that is killed.
    ~RemoteDaemon() { connection_->close(0); }

    void open(std::function<void(Result<>)> opened) { client_.open(std::move(opened)); }
    // The outcome comes once, an error also when the connection is lost. No callback comes once
    // this object is gone, which may be in any callback.
    void call(const Request& request, std::function<void(Outcome)> done);
    // Says goodbye.
    void close() { client_.close(); }

  private:
    void call_version2(const Request& request, std::function<void(Outcome)> done);
    void call_version3(const Request& request, std::function<void(Outcome)> done);

    std::shared_ptr<Connection> connection_;
    net::Resolver resolver_;
    rpc::Client client_;
};

}  // namespace segue::sim
