// SPDX-License-Identifier: LGPL-2.1-or-later
// A client of the simulation: virsh, by the rules of libvirt's client library (migrate/driver.h).
#pragma once

#include "sim/daemon.h"
#include "sim/remote.h"

namespace segue::sim {

struct Order {
    int domain = 0;
    int from = 0;
    int to = 0;
    int protocol = 3;
    bool peer_to_peer = false;
};

class Client {
  public:
    Client(Cluster& cluster, int number, Order order);
    ~Client() { die(); }

    void start();
    // As `kill -9`: its connections close.
    void die();
    bool done() const { return done_; }
    bool dead() const { return dead_; }
    const std::optional<Error>& outcome() const { return outcome_; }
    const Order& order() const { return order_; }

  private:
    void drive(migrate::DriverEvent event, std::optional<Error> error = {});
    void call(Call which, bool cancelled);
    void opened(const Result<>& outcome);
    void heard(Call call, const Outcome& outcome);
    void finish(std::optional<Error> outcome);
    migrate::DriverEvent event_of(Call call, bool ok) const;

    Cluster& cluster_;
    int number_;
    Order order_;
    SimLoop loop_;
    migrate::Driver driver_;
    std::unique_ptr<RemoteDaemon> source_;
    std::unique_ptr<RemoteDaemon> destination_;
    int opening_ = 0;
    Bytes cookie_;
    Bytes prepare_cookie_;
    std::string address_;
    bool done_ = false;
    bool dead_ = false;
    std::optional<Error> outcome_;
};

}  // namespace segue::sim
