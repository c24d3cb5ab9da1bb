// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/peer_door.h"

#include "base/log.h"
#include "daemon/conduct/destination.h"
#include "migrate/peer_link.schema.h"

namespace segue {

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

void PeerDoor::add(const Uuid& migration, std::shared_ptr<DestinationConduct> conduct) {
    conducts_[migration] = std::move(conduct);
}

void PeerDoor::remove(const Uuid& migration) {
    conducts_.erase(migration);
}

void PeerDoor::accept(net::Descriptor socket) {
    if (strangers_.size() >= kMaxUnknown) return;  // closes it
    Stranger& stranger = strangers_.emplace_back();
    Stranger* raw = &stranger;
    stranger.line = std::make_unique<PeerLine>(
        loop_, std::move(socket), migrate::PeerLink::accepted(), nullptr,
        PeerLine::Handlers{
            .message = [this, raw](const migrate::PeerMessage& hello) { greet(*raw, hello); },
            .lost = [this, raw](const Error&) { drop(raw); }});
    stranger.deadline = loop_.make_timer([this, raw] { drop(raw); });
    stranger.deadline->start(kHelloBound);
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
    } else {
        const auto conduct = found->second;
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
