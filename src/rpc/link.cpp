// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rpc/link.h"

#include "net/tls.h"

namespace segue::rpc {
namespace {

constexpr std::uint8_t kWelcome = 1;
// Beyond this a peer does not read what it asked for: replies stop long before, so these are events
// and streams.
constexpr std::size_t kOutputLimit = 48u << 20;

Error refused(std::string_view how) {
    return {ErrorCode::auth_failed,
            fmt::format("the server refused our TLS certificate ({}): install one that its "
                        "authority signed",
                        how)};
}

}  // namespace

NetLink::NetLink(Loop& loop, net::Descriptor socket, std::optional<Tls> tls) {
    net::Connection::Handlers handlers;
    handlers.on_input = [this](ByteView bytes) { on_input(bytes); };
    handlers.on_closed = [this](const Error& reason) {
        const auto on_closed = std::move(handlers_.on_closed);
        // In TLS 1.3 the server judges our certificate when our handshake is over.
        const bool judged = awaits_welcome_ && connection_->filter()->is_open() &&
                            reason.code == ErrorCode::protocol;
        if (on_closed) on_closed(judged ? refused(reason.message) : reason);
    };
    handlers.on_drained = [this] {
        if (handlers_.on_drained) handlers_.on_drained();
    };
    handlers.on_filter_open = [this] {
        if (is_tls_server_) connection_->send(Bytes{kWelcome});
    };
    connection_ = std::make_unique<net::Connection>(loop, std::move(socket), std::move(handlers));
    connection_->set_output_limit(kOutputLimit);
    if (tls) {
        is_tls_ = true;
        is_tls_server_ = tls->is_server;
        awaits_welcome_ = !tls->is_server;
        connection_->set_filter(std::move(tls->filter));
    } else if (connection_->peer().family() == AF_UNIX) {
        connection_->accept_descriptors();
    }
}

void NetLink::start(Handlers handlers) {
    handlers_ = std::move(handlers);
    connection_->start();
}

void NetLink::on_input(ByteView bytes) {
    if (awaits_welcome_ && !bytes.empty()) {
        if (bytes.front() != kWelcome) {
            connection_->close();
            const auto on_closed = std::move(handlers_.on_closed);
            return on_closed(refused("no welcome"));
        }
        awaits_welcome_ = false;
        bytes = bytes.subspan(1);
    }
    if (!bytes.empty()) handlers_.on_input(bytes);
}

PeerInfo NetLink::peer() const {
    PeerInfo info;
    info.credentials = connection_->credentials();
    info.address = info.credentials ? fmt::format("unix, process {}", info.credentials->process)
                                    : connection_->peer().text();
    info.is_local = connection_->peer().is_loopback();
    if (is_tls_) info.tls_subject = net::tls_peer_subject(*connection_->filter());
    return info;
}

}  // namespace segue::rpc
