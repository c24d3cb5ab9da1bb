// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/peer_door.h"

#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "base/log.h"
#include "daemon/certificates.h"
#include "daemon/conduct/destination.h"
#include "migrate/peer_link.schema.h"

namespace segue {
namespace {

constexpr std::uint8_t kTlsHandshake = 0x16;  // RFC 8446, 5.1: ContentType handshake

}  // namespace

PeerDoor::~PeerDoor() = default;

Result<> PeerDoor::open(const std::string& address, std::uint16_t port) {
    const auto make = [&](std::uint16_t wanted) {
        return net::Listener::make(loop_, net::Address::of_tcp(address, wanted), {},
                                   [this](net::Descriptor socket, const net::SocketAddress&) {
                                       accept(std::move(socket));
                                   });
    };
    auto listener = make(port);
    if (!listener && port != 0) listener = make(0);
    if (!listener) return tl::unexpected(listener.error());
    listener_ = std::move(*listener);
    address_ = address;
    return {};
}

void PeerDoor::let_in() {
    lets_in_ = true;
    for (net::Descriptor& socket : std::exchange(waiting_, {}))
        accept(std::move(socket));
}

void PeerDoor::add(const Uuid& migration, std::shared_ptr<DestinationConduct> conduct) {
    conducts_[migration] = std::move(conduct);
}

void PeerDoor::remove(const Uuid& migration) {
    conducts_.erase(migration);
}

void PeerDoor::accept(net::Descriptor socket) {
    if (strangers_.size() + waiting_.size() >= kMaxUnknown) return;  // closes it
    if (!lets_in_) return waiting_.push_back(std::move(socket));
    Stranger& stranger = strangers_.emplace_back();
    Stranger* raw = &stranger;
    stranger.socket = std::move(socket);
    stranger.watch = loop_.watch(stranger.socket.get(), [this, raw](Loop::Ready) { look(*raw); });
    stranger.watch->set_interest(true, false);
    stranger.deadline = loop_.make_timer([this, raw] { drop(raw); });
    stranger.deadline->start(kHelloBound);
}

// The byte stays in the socket: it is the first of what the line reads.
void PeerDoor::look(Stranger& stranger) {
    std::uint8_t first = 0;
    const ssize_t size = ::recv(stranger.socket.get(), &first, 1, MSG_PEEK | MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    stranger.watch.reset();
    if (size <= 0) return drop(&stranger);
    talk(stranger, first == kTlsHandshake);
}

void PeerDoor::talk(Stranger& stranger, bool secure) {
    std::unique_ptr<net::ByteFilter> tls;
    if (secure) {
        auto filter = tls_context(settings_, net::TlsSide::server).and_then([](const auto& made) {
            return made->make_filter({});
        });
        if (!filter) {
            log_warning("daemon", "peer link: {}", filter.error().message);
            return drop(&stranger);
        }
        tls = std::move(*filter);
    }
    Stranger* raw = &stranger;
    stranger.line = std::make_unique<PeerLine>(
        loop_, std::move(stranger.socket), migrate::PeerLink::accepted(), std::move(tls),
        PeerLine::Handlers{
            .message = [this, raw](const migrate::PeerMessage& hello) { greet(*raw, hello); },
            .lost = [this, raw](const Error&) { drop(raw); }});
}

void PeerDoor::greet(Stranger& stranger, const migrate::PeerMessage& hello) {
    if (!stranger.line) return;
    const Uuid& id = hello.right.id;
    const auto found = conducts_.find(id);
    if (found == conducts_.end()) {
        // It may ask about a promise that was released, or about a VM that never came.
        stranger.line->accept();
        stranger.line->send(migrate::peer::Kind::unknown);
        stranger.line->close();
    } else if (!found->second->key_fits(id, hello.right.key)) {
        log_warning("daemon", "peer link: a wrong key for migration {}: refused", id.text());
        stranger.line->close();
    } else if (found->second->demands_tls() && !stranger.line->is_secure()) {
        log_warning("daemon", "peer link: migration {} has TLS, and this link has not: refused",
                    id.text());
        stranger.line->close();
    } else {
        const auto conduct = found->second;
        log_info("daemon", "migration {}: a peer link {}", id.text(),
                 stranger.line->is_secure() ? "over TLS" : "in the clear");
        stranger.line->accept();
        conduct->peer_linked(std::move(stranger.line));
    }
    drop(&stranger);
}

void PeerDoor::see_off(std::unique_ptr<PeerLine> line) {
    if (!line) return;
    line->close();
    Stranger& leaving = strangers_.emplace_back();
    leaving.line = std::move(line);
    leaving.deadline = loop_.make_timer([this, raw = &leaving] { drop(raw); });
    leaving.deadline->start(kSeeOffBound);
}

// Posted: the line's own callback may be what asks for it.
void PeerDoor::drop(Stranger* stranger) {
    loop_.post([this, stranger, alive = std::weak_ptr<bool>(alive_)] {
        if (alive.expired()) return;
        strangers_.remove_if([stranger](const Stranger& one) { return &one == stranger; });
    });
}

}  // namespace segue
