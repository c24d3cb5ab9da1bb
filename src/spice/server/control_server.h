// SPDX-License-Identifier: LGPL-2.1-or-later
// The control socket of a server: tells `segued` what the clients do. It lives on the I/O thread;
// what it tells comes from the home thread.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>

#include "base/loop.h"
#include "net/connection.h"
#include "net/listen.h"
#include "spice/control/messages.h"

namespace segue::spice::server {

class ControlServer {
  public:
    static constexpr std::size_t kMostPeers = 16;
    // Asked on the home loop; the answer goes back through `reply`.
    using AskStatus = std::function<void(std::function<void(control::Status)> reply)>;

    // All on the loop of the I/O thread.
    static Result<std::unique_ptr<ControlServer>> make(Loop& loop, const std::string& path,
                                                       AskStatus ask);
    ~ControlServer();
    void tell(const control::Event& event);

  private:
    struct Peer {
        std::unique_ptr<net::Connection> connection;
        std::string line;
    };
    using PeerPlace = std::list<Peer>::iterator;

    ControlServer(Loop& loop, AskStatus ask) : loop_(loop), ask_(std::move(ask)) {}
    void accept(net::Descriptor socket);
    void input(PeerPlace peer, ByteView bytes);
    void send(net::Connection& connection, const std::string& line);

    Loop& loop_;
    AskStatus ask_;
    std::unique_ptr<net::Listener> listener_;
    std::list<Peer> peers_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace segue::spice::server
