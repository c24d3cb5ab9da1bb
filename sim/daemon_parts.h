// SPDX-License-Identifier: LGPL-2.1-or-later
// What a simulated daemon keeps for each migration.
#pragma once

#include "sim/daemon.h"

namespace segue::sim {

struct Daemon::Source {
    struct Item {
        migrate::SourceInput input;
        std::optional<Caller> caller;
    };
    int domain = 0;
    std::string incarnation;
    migrate::SourceMachine machine;
    migrate::DomainJobs jobs;
    std::deque<Item> queue;
    bool busy = false;
    std::uint64_t timer = 0;
    std::map<migrate::SourceCall, Caller> open;
    std::shared_ptr<Connection> client;  // the one whose end matters

    int destination = -1;
    std::string address;  // of the incoming QEMU
    std::shared_ptr<Connection> peer;
    std::optional<migrate::PeerLink> link;
    std::vector<std::function<void(Source&)>> when_linked;

    // peer-to-peer
    std::unique_ptr<migrate::Driver> driver;
    std::shared_ptr<Connection> rpc;
    Call awaited = Call::none;
    Bytes begin_cookie;
    Bytes prepare_cookie;
    Bytes perform_cookie;

    Source(int number, std::string name, migrate::SourceMachine the_machine)
        : domain(number),
          incarnation(std::move(name)),
          machine(std::move(the_machine)),
          jobs(domain_name(number)) {}
};

struct Daemon::Destination {
    struct Item {
        migrate::DestinationInput input;
        std::optional<Caller> caller;
    };
    int domain = 0;
    std::string incarnation;
    migrate::DestinationMachine machine;
    migrate::DomainJobs jobs;
    std::deque<Item> queue;
    bool busy = false;
    std::uint64_t timer = 0;
    std::map<migrate::DestinationCall, Caller> open;
    std::shared_ptr<Connection> client;
    bool over = false;

    std::shared_ptr<Connection> peer;
    std::optional<migrate::PeerLink> link;

    Destination(int number, std::string name, migrate::DestinationMachine the_machine)
        : domain(number),
          incarnation(std::move(name)),
          machine(std::move(the_machine)),
          jobs(domain_name(number)) {}
};

}  // namespace segue::sim
