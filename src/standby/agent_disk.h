// SPDX-License-Identifier: LGPL-2.1-or-later
// The disk leg of a protected QEMU: an NBD server that passes writes on and answers at once. What
// is answered is on its way to the standby in order; it counts there with its epoch.
//
// A copy that has begun must not end: from there on the standby misses what the guest writes. QEMU
// closes its connection when a drive-mirror ends, for whatever reason, before a write of the guest
// can go past it and be part of a later checkpoint.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "net/connection.h"
#include "net/listen.h"
#include "protect/nbd.h"

namespace segue::standby {

class AgentDisk {
  public:
    struct Handlers {
        std::function<void(std::uint64_t offset, ByteView data)> write;
        std::function<void(std::uint64_t offset, std::uint64_t length)> zero;
        // The copy has ended; told once.
        std::function<void()> ended;
    };
    static Result<std::unique_ptr<AgentDisk>> make(Loop& loop, const std::string& path,
                                                   std::uint64_t bytes, Handlers handlers);

    // A copy has begun, and its connection has not ended: also not one whose end nobody has read
    // yet. What was written before somebody asks has come through it.
    bool is_whole() const;

    // Back-pressure while the link to the standby is full.
    void set_reading(bool reading);

    static constexpr std::size_t kMaxPeers = 16;

  private:
    struct Peer {
        std::unique_ptr<net::Connection> connection;
        nbd::Server server;
        bool writes = false;
    };
    AgentDisk(Loop& loop, std::uint64_t bytes, Handlers handlers);
    void accept(net::Descriptor socket);
    void on_input(std::uint64_t id, ByteView bytes);
    void on_closed(std::uint64_t id);
    nbd::Errno execute(Peer& peer, const nbd::Request& request);
    void copy_ended(const Peer& peer);

    Loop& loop_;
    std::uint64_t bytes_;
    Handlers handlers_;
    bool reading_ = true;
    bool ended_ = false;
    std::unique_ptr<net::Listener> listener_;
    std::map<std::uint64_t, Peer> peers_;
    std::uint64_t next_id_ = 0;
};

}  // namespace segue::standby
