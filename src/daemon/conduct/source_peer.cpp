// SPDX-License-Identifier: LGPL-2.1-or-later
// The source's end of the peer link: dialled at the start of Perform, and anew whenever something
// must be said and the line is gone.
#include "base/log.h"
#include "daemon/certificates.h"
#include "daemon/conduct/source.h"
#include "daemon/peer_door.h"
#include "daemon/peer_errands.h"
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
            auto filter = socket ? dial_filter(services_.settings, peer.tls_name)
                                 : tl::unexpected(socket.error());
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

void SourceConduct::peer_message(const migrate::PeerMessage& message) {
    asked_on_old_line_ = false;
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
    // What is asked next dials anew. The lost line is in the middle of its own callback.
    services_.loop.post([lost = std::shared_ptr<PeerLine>(std::move(line_))] {});
    // The question went into a line that had died unnoticed: that says nothing about its peer.
    if (std::exchange(asked_on_old_line_, false)) {
        waiting_for_line_.push_back(SourceVerb::ask_peer);
        return dial_peer(machine().record());
    }
    feed(SourceEvent::peer_lost);
}

// The last word (cancel, release) goes its own way when no line is up: this object is about to end.
void SourceConduct::tell_peer(SourceVerb verb, const migrate::Record& record) {
    if (!record.peer.present()) return;
    if (line_ && line_ready_) {
        asked_on_old_line_ = verb == SourceVerb::ask_peer;
        return say(verb);
    }
    const bool last_word = verb == SourceVerb::cancel_peer || verb == SourceVerb::release_peer;
    if (last_word) {
        const bool cancels = verb == SourceVerb::cancel_peer;
        return services_.peer_errands.send(record, cancels ? Kind::cancels : Kind::releases);
    }
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
    asked_on_old_line_ = false;
    waiting_for_line_.clear();
}

}  // namespace segue
