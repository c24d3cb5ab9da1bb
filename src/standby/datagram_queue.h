// SPDX-License-Identifier: LGPL-2.1-or-later
// Frames toward a datagram socket that takes no more at the moment: they wait, in their order, for
// room. An epoch leaves all at once, and is more than any socket's own buffer.
#pragma once

#include <deque>
#include <optional>

#include "net/address.h"
#include "protect/frame_gate.h"

namespace segue::standby {

class DatagramQueue {
  public:
    explicit DatagramQueue(std::size_t max_bytes) : max_bytes_(max_bytes) {}

    // Behind what waits. `to`: nothing for a socket that is connected.
    void send(int socket, const net::SocketAddress* to, const FrameGate::Frames& frames);
    // There may be room again.
    void flush(int socket, const net::SocketAddress* to);
    bool is_waiting() const { return !waiting_.empty(); }
    // Frames beyond the bound, and those that the socket refused.
    std::uint64_t dropped() const { return dropped_; }

  private:
    enum class Outcome { sent, refused, full };
    static Outcome try_send(int socket, const net::SocketAddress* to, ByteView frame);

    std::size_t max_bytes_;
    std::size_t bytes_ = 0;
    std::deque<Bytes> waiting_;
    std::uint64_t dropped_ = 0;
};

}  // namespace segue::standby
