// SPDX-License-Identifier: LGPL-2.1-or-later
// The disk leg of a protected QEMU: an NBD server that passes writes on and answers at once. What
// is answered is on its way to the standby in order; it counts there with its epoch.
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
    };
    static Result<std::unique_ptr<AgentDisk>> make(Loop& loop, const std::string& path,
                                                   std::uint64_t bytes, Handlers handlers);

    // Back-pressure while the link to the standby is full.
    void set_reading(bool reading);

    static constexpr std::size_t kMaxPeers = 16;

  private:
    struct Peer {
        std::unique_ptr<net::Connection> connection;
        nbd::Server server;
    };
    AgentDisk(Loop& loop, std::uint64_t bytes, Handlers handlers);
    void accept(net::Descriptor socket);
    void on_input(std::uint64_t id, ByteView bytes);
    nbd::Errno execute(const nbd::Request& request);

    Loop& loop_;
    std::uint64_t bytes_;
    Handlers handlers_;
    bool reading_ = true;
    std::unique_ptr<net::Listener> listener_;
    std::map<std::uint64_t, Peer> peers_;
    std::uint64_t next_id_ = 0;
};

}  // namespace segue::standby
