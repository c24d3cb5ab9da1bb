// SPDX-License-Identifier: LGPL-2.1-or-later
#include "standby/disk_port.h"

#include <sys/socket.h>

#include "base/log.h"

namespace segue::standby {

using nbd::Command;
using nbd::Errno;

Result<std::unique_ptr<DiskPort>> DiskPort::make(Loop& loop, Worker& worker,
                                                 std::unique_ptr<DiskEpochs> disk,
                                                 const std::optional<net::Address>& primary,
                                                 const std::string& vm,
                                                 std::shared_ptr<net::TlsContext> tls) {
    std::unique_ptr<DiskPort> port(new DiskPort(loop, worker, std::move(disk), std::move(tls)));
    net::ListenOptions options;
    options.mode = 0600;
    const auto accept = [raw = port.get()](bool is_vm) {
        return [raw, is_vm](net::Descriptor socket, const net::SocketAddress&) {
            raw->accept(std::move(socket), is_vm, std::nullopt);
        };
    };
    if (primary) {
        port->primary_listener_ = TRY(net::Listener::make(loop, *primary, options, accept(false)));
    }
    port->vm_listener_ =
        TRY(net::Listener::make(loop, net::Address::of_unix(vm), options, accept(true)));
    return port;
}

DiskPort::DiskPort(Loop& loop, Worker& worker, std::unique_ptr<DiskEpochs> disk,
                   std::shared_ptr<net::TlsContext> tls)
    : loop_(loop), worker_(worker), disk_(std::move(disk)), tls_(std::move(tls)) {}

std::string DiskPort::address() const {
    return primary_listener_ ? primary_listener_->local().text() : std::string();
}

void DiskPort::accept(net::Descriptor socket, bool is_vm, std::optional<std::size_t> seat) {
    if (peers_.size() >= kMaxPeers || (serves_vm_ && !is_vm)) {
        log_warning("standby", "a disk client was refused: {}",
                    serves_vm_ ? "the standby has taken over" : "too many");
        return;
    }
    const std::uint64_t id = next_id_++;
    net::Connection::Handlers handlers;
    handlers.on_input = [this, id](ByteView bytes) { on_input(id, bytes); };
    handlers.on_closed = [this, id](const Error&) { peers_.erase(id); };
    handlers.on_drained = [this, id] { on_drained(id); };
    auto connection =
        std::make_unique<net::Connection>(loop_, std::move(socket), std::move(handlers));
    connection->set_output_limit(kMaxWaiting + nbd::kMaxAnswers + 2 * nbd::kMaxTransfer);
    const bool needs_tls = tls_ != nullptr && connection->peer().family() != AF_UNIX;
    const auto [place, made] = peers_.emplace(
        id, Peer{std::move(connection), nbd::Server({disk_->bytes(), false, needs_tls}), is_vm,
                 seat, nullptr});
    Peer& peer = place->second;
    peer.connection->start();
    peer.connection->send(peer.server.greeting());
}

void DiskPort::on_input(std::uint64_t id, ByteView bytes) {
    Peer& peer = peers_.at(id);
    Result<> done;
    if (peer.tls) {
        Bytes plain, to_peer;
        done = peer.tls->receive(bytes, plain, to_peer);
        if (!to_peer.empty()) peer.connection->send(std::move(to_peer));
        if (done) done = read(id, peer, plain);
    } else {
        done = read(id, peer, bytes);
    }
    judge(peer, done);
}

// A client that asks for much and reads little is not read.
void DiskPort::judge(Peer& peer, const Result<>& done) {
    if (!done) log_error("standby", "disk client: {}", done.error().message);
    if (!done || peer.server.is_done()) return peer.connection->close_after_output();
    peer.connection->set_reading(!peer.server.holds_back() &&
                                 peer.connection->output_waiting() <= kMaxWaiting);
}

void DiskPort::on_drained(std::uint64_t id) {
    const auto found = peers_.find(id);
    if (found == peers_.end() || found->second.connection->is_reading()) return;
    judge(found->second, read(id, found->second, {}));
}

Result<> DiskPort::read(std::uint64_t id, Peer& peer, ByteView bytes) {
    Bytes out;
    const auto fed = peer.server.feed(
        bytes, out, [&](const nbd::Request& request) { handle(id, peer, request, out); });
    if (!out.empty()) send(peer, std::move(out));
    if (fed && peer.server.wants_tls()) {
        peer.tls = TRY(tls_->make_filter(""));
        peer.server.secured();
    }
    return fed;
}

void DiskPort::send(Peer& peer, Bytes bytes) {
    if (!peer.tls) return peer.connection->send(std::move(bytes));
    Bytes to_peer;
    if (peer.tls->send(bytes, to_peer)) peer.connection->send(std::move(to_peer));
}

void DiskPort::handle(std::uint64_t id, Peer& peer, const nbd::Request& request, Bytes& out) {
    // Before the promotion the VM only looks at its disk; a write then is a second copy at work.
    const bool is_shadow = peer.seat && peer.seat == shadow_seat_ && shadow_;
    if (peer.is_vm && !serves_vm_ && !is_shadow && request.command != Command::read &&
        request.command != Command::flush) {
        return nbd::Server::reply(out, request.cookie, Errno::perm);
    }
    Bytes data;
    DiskEpochs& disk = is_shadow ? *shadow_ : *disk_;
    const Errno error = execute(disk, request, data);
    const bool durable = request.command == Command::flush || request.force_unit_access;
    if (error == Errno::ok && durable && !disk.is_logging()) {
        return reply_after_flush(id, request.cookie);
    }
    nbd::Server::reply(out, request.cookie, error, data);
}

Errno DiskPort::execute(DiskEpochs& disk, const nbd::Request& request, Bytes& data) {
    Result<> done;
    switch (request.command) {
        case Command::read:
            data.resize(request.length);
            done = disk.read(request.offset, data);
            break;
        case Command::write: done = disk.write(request.offset, request.data); break;
        // The first is advice, and taken: a thin disk stays thin.
        case Command::trim:
        case Command::write_zeroes: done = disk.zero(request.offset, request.length); break;
        case Command::flush:
        case Command::disconnect: break;
    }
    if (done) return Errno::ok;
    log_error("standby", "disk: {}", done.error().message);
    data.clear();
    return Errno::io;
}

void DiskPort::reply_after_flush(std::uint64_t id, std::uint64_t cookie) {
    worker_.run(disk_->flush_job(), [this, id, cookie](const Result<>& flushed) {
        const auto peer = peers_.find(id);
        if (peer == peers_.end()) return;
        if (!flushed) log_error("standby", "disk: {}", flushed.error().message);
        Bytes out;
        nbd::Server::reply(out, cookie, flushed ? Errno::ok : Errno::io);
        send(peer->second, std::move(out));
    });
}

Result<> DiskPort::open_seats(const std::vector<std::string>& sockets, const std::string& image,
                              const std::string& directory) {
    image_ = image;
    shadow_directory_ = directory;
    TRY(DiskEpochs::remove_log(directory));
    net::ListenOptions options;
    options.mode = 0600;
    for (std::size_t seat = 0; seat < sockets.size(); ++seat) {
        seat_listeners_.push_back(TRY(
            net::Listener::make(loop_, net::Address::of_unix(sockets[seat]), options,
                                [this, seat](net::Descriptor socket, const net::SocketAddress&) {
                                    accept(std::move(socket), true, seat);
                                })));
    }
    return {};
}

// Nothing of it is durable before it counts: a crash of this host takes the shadow along.
Result<> DiskPort::begin_shadow(std::size_t seat) {
    end_shadow();
    shadow_counts_ = std::make_shared<bool>(false);
    shadow_ =
        TRY(DiskEpochs::open(image_, shadow_directory_, DiskEpochs::kAllSealed,
                             [counts = shadow_counts_](int descriptor) {
                                 return *counts ? DiskEpochs::sync_image(descriptor) : Result<>();
                             }));
    TRY(shadow_->begin_epochs());
    shadow_seat_ = seat;
    return {};
}

void DiskPort::end_shadow() {
    if (!shadow_seat_) return;
    for (auto peer = peers_.begin(); peer != peers_.end();)
        peer = peer->second.seat == shadow_seat_ ? peers_.erase(peer) : std::next(peer);
    shadow_seat_.reset();
    shadow_.reset();
    const auto removed = DiskEpochs::remove_log(shadow_directory_);
    if (!removed) log_warning("standby", "{}", removed.error().message);
}

Result<> DiskPort::serve_shadow() {
    *shadow_counts_ = true;
    Result<> kept = shadow_->end_epochs();
    // Else it goes on from its own log.
    if (kept) shadow_.reset();
    serve_vm();
    return kept;
}

Result<> DiskPort::keep_shadow(const std::string& image, const std::string& directory) {
    const auto disk = TRY(DiskEpochs::open(image, directory, DiskEpochs::kAllSealed));
    return disk->end_epochs();
}

void DiskPort::serve_vm() {
    serves_vm_ = true;
    primary_listener_.reset();
    for (auto peer = peers_.begin(); peer != peers_.end();)
        peer = peer->second.is_vm ? std::next(peer) : peers_.erase(peer);
}

}  // namespace segue::standby
