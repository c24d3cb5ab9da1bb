// SPDX-License-Identifier: LGPL-2.1-or-later
// Listeners for unix and TCP sockets on a Loop.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/loop.h"
#include "net/socket.h"

namespace segue::net {

struct ListenOptions {
    unsigned mode = 0660;  // of a unix socket
    std::string group;     // of a unix socket; empty: the process's own
    int backlog = 1024;
};

// Destroying it stops listening and removes the unix socket that it made.
class Listener {
  public:
    using OnAccept = std::function<void(Descriptor, const SocketAddress& peer)>;

    // TLS addresses listen like TCP ones: the filter is the caller's. Hosts must be numeric, so
    // that no name server decides where we listen. A unix socket whose server is gone is replaced;
    // one that answers is error operation_failed.
    static Result<std::unique_ptr<Listener>> make(Loop& loop, const Address& address,
                                                  const ListenOptions& options, OnAccept on_accept);
    // A socket that somebody else made (systemd, a test): listening already.
    static Result<std::unique_ptr<Listener>> adopt(Loop& loop, Descriptor socket,
                                                   OnAccept on_accept);
    ~Listener();

    // With the port that the kernel chose when the address said 0.
    const SocketAddress& local() const { return local_; }
    // Not accepting leaves new connections in the kernel's queue.
    void set_accepting(bool accepting);

  private:
    Listener(Loop& loop, Descriptor socket, OnAccept on_accept);
    void start();
    void accept_some();

    Loop& loop_;
    Descriptor socket_;
    OnAccept on_accept_;
    SocketAddress local_;
    std::string path_to_remove_;
    bool accepting_ = true;
    std::unique_ptr<Watch> watch_;
    std::unique_ptr<Timer> retry_;
    // Tells a callback that is running whether its listener still exists.
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace segue::net
