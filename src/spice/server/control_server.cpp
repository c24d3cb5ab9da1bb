// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/control_server.h"

#include "base/log.h"

namespace segue::spice::server {
namespace {

// A line that is no command announces nothing; it is answered with an error.
std::uint64_t announced_bytes(std::string_view line) {
    const auto command = control::parse_command(line);
    return command ? command->bytes : 0;
}

}  // namespace

Result<std::unique_ptr<ControlServer>> ControlServer::make(Loop& loop, const std::string& path,
                                                           Handlers handlers) {
    std::unique_ptr<ControlServer> server(new ControlServer(loop, std::move(handlers)));
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
    const PeerPlace peer =
        peers_.insert(peers_.end(), Peer{nullptr, control::LineReader(announced_bytes)});
    net::Connection::Handlers handlers;
    handlers.on_input = [this, peer](ByteView bytes) { input(peer, bytes); };
    handlers.on_closed = [this, peer](const Error&) { peers_.erase(peer); };
    peer->connection =
        std::make_unique<net::Connection>(loop_, std::move(socket), std::move(handlers));
    peer->connection->set_output_limit(kMostOutput);
    peer->connection->start();
}

void ControlServer::input(PeerPlace peer, ByteView bytes) {
    const auto fed = peer->reader.feed(bytes, [&](const control::LineReader::Incoming& incoming) {
        obey(*peer->connection, incoming);
    });
    if (fed) return;
    log_warning("spice", "{}", fed.error().message);
    peer->connection->close_after_output();
}

void ControlServer::obey(net::Connection& peer, const control::LineReader::Incoming& incoming) {
    const Result<bool> done = obey_protection(peer, incoming.line);
    if (!done) return send(peer, control::error_line(done.error().message));
    if (*done) return;
    const auto command = control::parse_command(incoming.line);
    if (!command) return send(peer, control::error_line(command.error().message));
    switch (command->kind) {
        case control::CommandKind::status: return answer_status(&peer);
        case control::CommandKind::carry_state:
        case control::CommandKind::drop_state:
        case control::CommandKind::machine_arrived:
        case control::CommandKind::state_taken: return handlers_.command(command->kind);
        case control::CommandKind::take_state:
            if (const auto taken = take_state(peer, incoming.bytes); !taken)
                send(peer, control::error_line(taken.error().message));
    }
}

// False: it is another word.
Result<bool> ControlServer::obey_protection(net::Connection& peer, std::string_view line) {
    if (const auto place = TRY(control::parse_standby(line))) {
        handlers_.standby(*place);
        send(peer, control::standby_told_line());
        return true;
    }
    const auto word = TRY(control::parse_screen_word(line));
    if (word) send(peer, control::to_line(handlers_.screen(*word)));
    return word.has_value();
}

// The peer may have gone when the answer comes.
void ControlServer::answer_status(net::Connection* peer) {
    handlers_.ask_status([this, alive = alive_, peer](const control::Status& status) {
        if (!*alive) return;
        for (const Peer& own : peers_) {
            if (own.connection.get() == peer) send(*peer, control::to_line(status));
        }
    });
}

// Said at once, also while the home thread loads the machine: the source waits for it.
Result<> ControlServer::take_state(net::Connection& peer, ByteView bytes) {
    CarriedMessage message = TRY(read_carried(bytes));
    const StateKey key = message.key;
    const bool complete = TRY(keeper_.take(std::move(message)));
    control::Event taken;
    taken.kind = control::EventKind::state_taken;
    taken.final = complete;
    send(peer, control::to_line(taken));
    // The first brings only the key: what goes through clients must be sealed from now on.
    handlers_.state_arrived(complete ? keeper_.parts() : CarriedParts{}, key);
    return {};
}

void ControlServer::send(net::Connection& connection, const std::string& line) {
    connection.send_copy(as_bytes(line + "\n"));
}

void ControlServer::tell(const control::Event& event) {
    const std::string line = control::to_line(event);
    for (Peer& peer : peers_)
        send(*peer.connection, line);
}

void ControlServer::tell_state(const CarriedMessage& message) {
    const auto bytes = std::make_shared<const Bytes>(write_carried(message));
    if (bytes->size() > control::kMostBytes) {
        log_warning("spice",
                    "the state of the clients is {} bytes, at most {}: it goes through them",
                    bytes->size(), control::kMostBytes);
        return;
    }
    control::Event event;
    event.kind = control::EventKind::state;
    event.final = message.last;
    event.bytes = bytes->size();
    const std::string line = control::to_line(event);
    for (Peer& peer : peers_) {
        send(*peer.connection, line);
        peer.connection->send(bytes);
    }
}

}  // namespace segue::spice::server
