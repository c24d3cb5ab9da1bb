// SPDX-License-Identifier: LGPL-2.1-or-later
#include "standby/agent_network.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <utility>

#include "base/log.h"

namespace segue::standby {

Result<std::unique_ptr<AgentNetwork>> AgentNetwork::make(Loop& loop, const Paths& paths,
                                                         std::function<void(Frames)> sent) {
    std::unique_ptr<AgentNetwork> network(new AgentNetwork(loop, std::move(sent)));
    TRY(network->open(network->out_, paths.out, true));
    TRY(network->open(network->back_, paths.back, false));
    TRY(network->open(network->in_, paths.in, false));
    return network;
}

AgentNetwork::AgentNetwork(Loop& loop, std::function<void(Frames)> sent)
    : loop_(loop), sent_(std::move(sent)) {}

Result<> AgentNetwork::open(Port& port, const std::string& path, bool reads) {
    net::ListenOptions options;
    options.mode = 0600;
    port.listener = TRY(net::Listener::make(
        loop_, net::Address::of_unix(path), options,
        [this, &port, reads](net::Descriptor socket, const net::SocketAddress&) {
            accept(port, std::move(socket), reads);
        }));
    return {};
}

void AgentNetwork::accept(Port& port, net::Descriptor socket, bool reads) {
    if (port.connection && !port.connection->is_closed()) {
        log_warning("agent", "a second NIC was refused");
        return;
    }
    if (reads) splitter_.reset();
    net::Connection::Handlers handlers;
    handlers.on_input = [this, reads](ByteView bytes) {
        if (reads) take(bytes);
    };
    handlers.on_closed = [&port](const Error&) { port.connection.reset(); };
    port.connection =
        std::make_unique<net::Connection>(loop_, std::move(socket), std::move(handlers));
    port.connection->set_output_limit(2 * kMaxWaiting);
    port.connection->start();
}

void AgentNetwork::take(ByteView bytes) {
    const auto fed = splitter_.feed(bytes);
    Frames frames = splitter_.take();
    if (frames.count > 0) sent_(std::move(frames));
    if (fed) return;
    log_error("agent", "the NIC's filter: {}", fed.error().message);
    loop_.post([this] { out_.connection.reset(); });
}

void AgentNetwork::drain() {
    std::uint8_t buffer[64U << 10];
    while (out_.connection && !out_.connection->is_closed()) {
        const ssize_t got =
            ::recv(out_.connection->descriptor(), buffer, sizeof buffer, MSG_DONTWAIT);
        if (got <= 0) return;  // an end is seen by the connection itself
        take(ByteView(buffer, static_cast<std::size_t>(got)));
    }
}

void AgentNetwork::deliver(ByteView frames) {
    if (!frozen_) {
        delivered_ += frames.size();
        return send(in_, Bytes(frames.begin(), frames.end()));
    }
    if (waiting_.size() + frames.size() > kMaxWaiting) {
        // Neither guest gets them.
        delivered_ += frames.size();
        dropped_ += 1;
        return;
    }
    waiting_.insert(waiting_.end(), frames.begin(), frames.end());
}

bool AgentNetwork::freeze() {
    frozen_ = true;
    if (!in_.connection || in_.connection->is_closed()) return true;
    int unread = 0;
    // Of a unix socket: what its peer has not read.
    const bool known = ::ioctl(in_.connection->descriptor(), SIOCOUTQ, &unread) == 0;
    return in_.connection->output_waiting() == 0 && (!known || unread == 0);
}

void AgentNetwork::thaw() {
    if (!std::exchange(frozen_, false)) return;
    const Bytes waiting = std::exchange(waiting_, {});
    deliver(waiting);
}

void AgentNetwork::send(Port& port, Bytes frames) {
    if (frames.empty()) return;
    const bool open = port.connection && !port.connection->is_closed();
    if (!open || port.connection->output_waiting() > kMaxWaiting) {
        dropped_ += 1;
        return;
    }
    port.connection->send(std::move(frames));
}

}  // namespace segue::standby
