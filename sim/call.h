// SPDX-License-Identifier: LGPL-2.1-or-later
// The calls of a migration as the simulated clients and daemons think of them. On the line they are
// libvirt's procedures, by the real RPC objects (sim/daemon_rpc.cpp, sim/remote.cpp).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/error.h"

namespace segue::rpc {
class Session;
}

namespace segue::sim {

enum class Call : std::uint8_t {
    none,
    begin,
    prepare,
    perform,
    finish,
    confirm,
    abort,
};

struct Request {
    Call call = Call::none;
    int domain = 0;
    int destination = -1;  // perform, peer-to-peer: the host to go to
    int protocol = 3;
    bool peer_to_peer = false;
    bool cancelled = false;  // finish, confirm
    Bytes cookie;
    std::string address;  // perform: where the incoming QEMU listens
};

struct Outcome {
    std::optional<Error> error;
    Bytes cookie;
    std::string address;  // prepare: where the incoming QEMU listens
};

// A call that came in, and how it is answered.
struct Caller {
    std::weak_ptr<rpc::Session> session;
    Request request;
    std::function<void(Outcome)> reply;
};

}  // namespace segue::sim
