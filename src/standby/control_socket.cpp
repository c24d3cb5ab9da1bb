// SPDX-License-Identifier: LGPL-2.1-or-later
#include "standby/control_socket.h"

#include "base/log.h"

namespace segue::standby {

Result<std::unique_ptr<ControlSocket>> ControlSocket::make(Loop& loop, const std::string& path,
                                                           OnRequest on_request) {
    std::unique_ptr<ControlSocket> control(new ControlSocket(loop, std::move(on_request)));
    net::ListenOptions options;
    options.mode = 0600;
    control->listener_ = TRY(net::Listener::make(
        loop, net::Address::of_unix(path), options,
        [raw = control.get()](net::Descriptor socket, const net::SocketAddress&) {
            raw->accept(std::move(socket));
        }));
    return control;
}

ControlSocket::ControlSocket(Loop& loop, OnRequest on_request)
    : loop_(loop), on_request_(std::move(on_request)) {}

void ControlSocket::accept(net::Descriptor socket) {
    if (peers_.size() >= kMaxPeers) {
        log_warning("standby", "control socket: more than {} peers, one refused", kMaxPeers);
        return;
    }
    const std::uint64_t id = next_id_++;
    net::Connection::Handlers handlers;
    handlers.on_input = [this, id](ByteView bytes) { on_input(id, bytes); };
    handlers.on_closed = [this, id](const Error&) { peers_.erase(id); };
    Peer& peer = peers_[id];
    peer.connection =
        std::make_unique<net::Connection>(loop_, std::move(socket), std::move(handlers));
    peer.connection->start();
}

void ControlSocket::on_input(std::uint64_t id, ByteView bytes) {
    Peer& peer = peers_.at(id);
    peer.input += as_text(bytes);
    std::size_t end = 0;
    while ((end = peer.input.find('\n')) != std::string::npos) {
        const std::string line = peer.input.substr(0, end);
        peer.input.erase(0, end + 1);
        if (!line.empty()) answer(id, line);
    }
    if (peer.input.size() > kMaxLine) {
        send(id, Json::object({{"error", fmt::format("line of more than {} bytes", kMaxLine)}}));
        peer.connection->close_after_output();
    }
}

void ControlSocket::answer(std::uint64_t id, std::string_view line) {
    const auto request = Json::parse(line);
    if (!request || !request->is_object()) {
        return send(id, Json::object({{"error", "not one JSON object on one line"}}));
    }
    const std::weak_ptr<bool> alive = alive_;
    on_request_(*request, [this, alive, id](Result<Json> result) {
        if (alive.expired()) return;
        send(id, result ? *result : Json::object({{"error", result.error().message}}));
    });
}

void ControlSocket::send(std::uint64_t id, const Json& answer) {
    const auto peer = peers_.find(id);
    if (peer == peers_.end()) return;
    const std::string line = answer.dump() + '\n';
    peer->second.connection->send_copy(as_bytes(line));
}

}  // namespace segue::standby
