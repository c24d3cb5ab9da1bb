// SPDX-License-Identifier: LGPL-2.1-or-later
// A filter stands between a connection and its socket and does no I/O itself.
#pragma once

#include "base/bytes.h"
#include "base/result.h"

namespace segue::net {

class ByteFilter {
  public:
    virtual ~ByteFilter() = default;

    // What must go to the peer before anything came from it (a client's hello).
    virtual Result<> start(Bytes& to_peer) = 0;
    // Takes what the socket gave; appends what the user of the connection gets to `plain`, and what
    // must go to the peer to `to_peer`. An error ends the connection; what is in `to_peer` by then
    // (an alert) is sent first.
    virtual Result<> receive(ByteView from_peer, Bytes& plain, Bytes& to_peer) = 0;
    // Before the filter is open it keeps what is sent and passes it on later.
    virtual Result<> send(ByteView plain, Bytes& to_peer) = 0;
    virtual void close(Bytes& to_peer) = 0;
    // The peer ended its stream: true when it said so properly.
    virtual bool closed_by_peer() const = 0;
    virtual bool is_open() const = 0;
};

}  // namespace segue::net
