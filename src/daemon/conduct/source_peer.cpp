// SPDX-License-Identifier: LGPL-2.1-or-later
// The source's end of the peer link: dialled at the start of Perform, and anew whenever something
// must be said and the line is gone.
#include "base/log.h"
#include "daemon/certificates.h"
#include "daemon/conduct/source.h"
#include "daemon/peer_door.h"
#include "migrate/peer_link.schema.h"

namespace segue {

using migrate::SourceEvent;
using migrate::SourceVerb;
using migrate::peer::Kind;

void SourceConduct::dial_peer(const migrate::Record& record) {
    line_.reset();
    line_ready_ = false;
    connector_ = std::make_unique<net::Connector>(
        services_.loop, services_.resolver,
        net::Address::of_tcp(record.peer.address, record.peer.port),
        migrate::SourceMachine::kLinkBound,
        [this, id = record.id, peer = record.peer](Result<net::Descriptor> socket) {
            auto filter = socket ? link_filter(peer.tls_name) : tl::unexpected(socket.error());
            if (!filter) {
                log_warning("daemon", "peer link: {}", filter.error().message);
                return peer_lost();
            }
            line_ = std::make_unique<PeerLine>(
                services_.loop, std::move(*socket), migrate::PeerLink::dialled(id, peer.key),
                std::move(*filter),
                PeerLine::Handlers{
                    .message =
                        [this](const migrate::PeerMessage& message) { peer_message(message); },
                    .lost =
                        [this](const Error& error) {
                            log_info("daemon", "peer link: {}", error.message);
                            peer_lost();
                        }});
        });
}

// None for a link in the clear.
Result<std::unique_ptr<net::ByteFilter>> SourceConduct::link_filter(const std::string& tls_name) {
    if (tls_name.empty()) return nullptr;
    const auto context = TRY(tls_context(services_.settings, net::TlsSide::client));
    return context->make_filter(tls_name);
}

void SourceConduct::peer_message(const migrate::PeerMessage& message) {
    if (message.kind == Kind::ready) {
        line_ready_ = true;
        for (const SourceVerb verb : std::exchange(waiting_for_line_, {}))
            say(verb);
        return feed(SourceEvent::peer_linked);
    }
    if (message.kind == Kind::linked) {
        timeline_.mark("viewer-linked", "destination", services_.loop.now());
        return screen_.linked(message.channel);
    }
    if (message.kind == Kind::carries) return screen_.target_carries();
    if (message.kind == Kind::screen_taken) return screen_.target_took(message.screen.last);
    if (const auto event = message.source_event()) feed(*event);
}

void SourceConduct::peer_lost() {
    const auto self = shared_from_this();
    line_ready_ = false;
    waiting_for_line_.clear();
    feed(SourceEvent::peer_lost);
}

// What is said last (cancel, release) is sent on the line as it is: a destination that does not
// hear it keeps its promise a while longer, and nothing else.
void SourceConduct::tell_peer(SourceVerb verb, const migrate::Record& record) {
    if (!record.peer.present()) return;
    if (line_ && line_ready_) return say(verb);
    const bool last_word = verb == SourceVerb::cancel_peer || verb == SourceVerb::release_peer;
    if (last_word && !line_) return;
    waiting_for_line_.push_back(verb);
    if (!line_) dial_peer(record);
}

void SourceConduct::say(SourceVerb verb) {
    const migrate::Record& record = machine().record();
    switch (verb) {
        case SourceVerb::ask_peer: return line_->send(Kind::asks);
        case SourceVerb::cancel_peer: return line_->send(Kind::cancels);
        case SourceVerb::release_peer: return line_->send(Kind::releases);
        case SourceVerb::give_right:
            return line_->give({record.id, record.peer.key, record.run_guest});
        default: return;
    }
}

void SourceConduct::close_peer() {
    connector_.reset();
    services_.peer_door.see_off(std::move(line_));
    line_ready_ = false;
    waiting_for_line_.clear();
}

}  // namespace segue
