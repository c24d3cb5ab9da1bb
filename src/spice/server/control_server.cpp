// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/control_server.h"

#include "base/log.h"

namespace segue::spice::server {

Result<std::unique_ptr<ControlServer>> ControlServer::make(Loop& loop, const std::string& path,
                                                           AskStatus ask) {
    std::unique_ptr<ControlServer> server(new ControlServer(loop, std::move(ask)));
    net::ListenOptions options;
    options.mode = 0600;
    server->listener_ = TRY(net::Listener::make(
        loop, net::Address::of_unix(path), options,
        [own = server.get()](net::Descriptor socket, const net::SocketAddress&) {
            own->accept(std::move(socket));
        }));
    return server;
}

ControlServer::~ControlServer() {
    *alive_ = false;
}

void ControlServer::accept(net::Descriptor socket) {
    if (peers_.size() >= kMostPeers) return;  // closed with the descriptor
    const PeerPlace peer = peers_.emplace(peers_.end());
    net::Connection::Handlers handlers;
    handlers.on_input = [this, peer](ByteView bytes) { input(peer, bytes); };
    handlers.on_closed = [this, peer](const Error&) { peers_.erase(peer); };
    peer->connection =
        std::make_unique<net::Connection>(loop_, std::move(socket), std::move(handlers));
    peer->connection->set_output_limit(1u << 20);
    peer->connection->start();
}

void ControlServer::input(PeerPlace peer, ByteView bytes) {
    peer->line += as_text(bytes);
    std::size_t end;
    while ((end = peer->line.find('\n')) != std::string::npos) {
        const std::string line = peer->line.substr(0, end);
        peer->line.erase(0, end + 1);
        if (const Result<> known = control::parse_command(line); !known) {
            send(*peer->connection, control::error_line(known.error().message));
            continue;
        }
        net::Connection* connection = peer->connection.get();
        ask_([this, alive = alive_, connection](const control::Status& status) {
            if (!*alive) return;
            for (const Peer& own : peers_) {
                if (own.connection.get() == connection) send(*connection, control::to_line(status));
            }
        });
    }
    if (peer->line.size() > control::kMostLine) {
        log_warning("spice", "control: a line of more than {} bytes: its peer is disconnected",
                    control::kMostLine);
        peer->line.clear();
        peer->connection->close_after_output();
    }
}

void ControlServer::send(net::Connection& connection, const std::string& line) {
    connection.send_copy(as_bytes(line + "\n"));
}

void ControlServer::tell(const control::Event& event) {
    const std::string line = control::to_line(event);
    for (Peer& peer : peers_)
        send(*peer.connection, line);
}

}  // namespace segue::spice::server
