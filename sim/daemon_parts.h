// SPDX-License-Identifier: LGPL-2.1-or-later
// What a simulated daemon keeps for each migration.
#pragma once

#include "sim/daemon.h"
#include "sim/remote.h"

namespace segue::sim {

struct Daemon::Source {
    struct Item {
        migrate::SourceInput input;
        std::optional<Caller> caller;
    };
    int domain = 0;
    std::string incarnation;
    migrate::SourceMachine machine;
    std::deque<Item> queue;
    bool busy = false;
    std::uint64_t timer = 0;
    std::map<migrate::SourceCall, Caller> open;
    std::weak_ptr<rpc::Session> client;  // the one whose end matters

    int destination = -1;
    std::string address;  // of the incoming QEMU
    std::shared_ptr<Connection> peer;
    std::optional<migrate::PeerLink> link;
    std::vector<std::function<void(Source&)>> when_linked;

    // peer-to-peer
    std::unique_ptr<migrate::Driver> driver;
    std::unique_ptr<RemoteDaemon> rpc;
    Bytes begin_cookie;
    Bytes prepare_cookie;
    Bytes perform_cookie;

    Source(int number, std::string name, migrate::SourceMachine the_machine)
        : domain(number), incarnation(std::move(name)), machine(std::move(the_machine)) {}
};

struct Daemon::Destination {
    struct Item {
        migrate::DestinationInput input;
        std::optional<Caller> caller;
    };
    int domain = 0;
    std::string incarnation;
    migrate::DestinationMachine machine;
    bool job_over = false;
    std::deque<Item> queue;
    bool busy = false;
    std::uint64_t timer = 0;
    std::map<migrate::DestinationCall, Caller> open;
    std::weak_ptr<rpc::Session> client;
    bool over = false;

    std::shared_ptr<Connection> peer;
    std::optional<migrate::PeerLink> link;

    Destination(int number, std::string name, migrate::DestinationMachine the_machine)
        : domain(number), incarnation(std::move(name)), machine(std::move(the_machine)) {}
};

}  // namespace segue::sim
