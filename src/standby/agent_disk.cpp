// SPDX-License-Identifier: LGPL-2.1-or-later
#include "standby/agent_disk.h"

#include <poll.h>

#include "base/log.h"

namespace segue::standby {

using nbd::Command;
using nbd::Errno;

Result<std::unique_ptr<AgentDisk>> AgentDisk::make(Loop& loop, const std::string& path,
                                                   std::uint64_t bytes, Handlers handlers) {
    std::unique_ptr<AgentDisk> disk(new AgentDisk(loop, bytes, std::move(handlers)));
    net::ListenOptions options;
    options.mode = 0600;
    disk->listener_ = TRY(
        net::Listener::make(loop, net::Address::of_unix(path), options,
                            [raw = disk.get()](net::Descriptor socket, const net::SocketAddress&) {
                                raw->accept(std::move(socket));
                            }));
    return disk;
}

AgentDisk::AgentDisk(Loop& loop, std::uint64_t bytes, Handlers handlers)
    : loop_(loop), bytes_(bytes), handlers_(std::move(handlers)) {}

void AgentDisk::accept(net::Descriptor socket) {
    if (peers_.size() >= kMaxPeers) {
        log_warning("agent", "a disk client was refused: more than {}", kMaxPeers);
        return;
    }
    const std::uint64_t id = next_id_++;
    net::Connection::Handlers handlers;
    handlers.on_input = [this, id](ByteView bytes) { on_input(id, bytes); };
    handlers.on_closed = [this, id](const Error&) { on_closed(id); };
    const auto made = peers_.emplace(
        id, Peer{std::make_unique<net::Connection>(loop_, std::move(socket), std::move(handlers)),
                 nbd::Server({bytes_, false, false})});
    Peer& peer = made.first->second;
    peer.connection->start();
    peer.connection->set_reading(reading_);
    peer.connection->send(peer.server.greeting());
}

void AgentDisk::on_input(std::uint64_t id, ByteView bytes) {
    Peer& peer = peers_.at(id);
    Bytes out;
    const auto fed = peer.server.feed(bytes, out, [&](const nbd::Request& request) {
        nbd::Server::reply(out, request.cookie, execute(peer, request));
    });
    if (!out.empty()) peer.connection->send(std::move(out));
    if (!fed) log_error("agent", "disk client: {}", fed.error().message);
    if (fed && !peer.server.is_done()) return;
    peer.connection->close_after_output();
    copy_ended(peer);
}

void AgentDisk::on_closed(std::uint64_t id) {
    const auto peer = peers_.extract(id);
    if (!peer.empty()) copy_ended(peer.mapped());
}

void AgentDisk::copy_ended(const Peer& peer) {
    if (peer.writes && !std::exchange(ended_, true)) handlers_.ended();
}

bool AgentDisk::is_whole() const {
    if (ended_) return false;
    bool copies = false;
    for (const auto& entry : peers_) {
        const Peer& peer = entry.second;
        if (!peer.writes) continue;
        pollfd look{peer.connection->descriptor(), POLLRDHUP, 0};
        if (::poll(&look, 1, 0) != 0) return false;
        copies = true;
    }
    return copies;
}

Errno AgentDisk::execute(Peer& peer, const nbd::Request& request) {
    switch (request.command) {
        case Command::write:
            peer.writes = true;
            handlers_.write(request.offset, request.data);
            return Errno::ok;
        case Command::write_zeroes:
            peer.writes = true;
            handlers_.zero(request.offset, request.length);
            return Errno::ok;
        // Advice, and taken: the standby's image is as thin as the primary's.
        case Command::trim:
            peer.writes = true;
            handlers_.zero(request.offset, request.length);
            return Errno::ok;
        // A leg that is written only: its bytes are on the other host.
        case Command::read: return Errno::perm;
        // A flush is covered by the epoch's commit.
        case Command::flush:
        case Command::disconnect: break;
    }
    return Errno::ok;
}

void AgentDisk::set_reading(bool reading) {
    reading_ = reading;
    for (auto& entry : peers_) {
        net::Connection& connection = *entry.second.connection;
        if (!connection.is_closed() && connection.is_reading() != reading)
            connection.set_reading(reading);
    }
}

}  // namespace segue::standby
