// SPDX-License-Identifier: LGPL-2.1-or-later
// Connecting with one bound for everything: name, and each address of it in turn.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "base/loop.h"
#include "net/resolve.h"
#include "net/socket.h"

namespace segue::net {

// Destroying it gives up silently. The callback runs once, on the loop, never inside the
// constructor, and may destroy this object.
class Connector {
  public:
    using OnConnected = std::function<void(Result<Descriptor>)>;

    // TLS addresses connect like TCP ones: the filter is the caller's.
    // Errors: system (refused, unreachable, unknown name), timeout.
    Connector(Loop& loop, Resolver& resolver, Address address, Duration timeout,
              OnConnected on_connected);
    ~Connector();

    // In the callback: somebody was there, and did not want the connection. Otherwise the way
    // there, or the name, is what is missing.
    bool was_refused() const { return was_refused_; }

  private:
    void begin(Result<std::vector<SocketAddress>> addresses);
    void try_next();
    void check();
    void note_failure(int error_number);
    void finish(Result<Descriptor> outcome);

    Loop& loop_;
    Address address_;
    Duration timeout_;
    OnConnected on_connected_;
    std::vector<SocketAddress> candidates_;
    std::size_t next_ = 0;
    Error last_error_;
    bool was_refused_ = false;
    Descriptor socket_;
    std::unique_ptr<Watch> watch_;
    std::unique_ptr<Timer> timer_;
    std::shared_ptr<void> question_;
};

}  // namespace segue::net
