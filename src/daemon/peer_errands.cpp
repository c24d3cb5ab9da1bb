// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/peer_errands.h"

#include "base/log.h"
#include "daemon/certificates.h"
#include "migrate/peer_link.schema.h"

namespace segue {

using migrate::peer::Kind;

void PeerErrands::send(const migrate::Record& record, Kind word) {
    if (errands_.size() >= kMost) errands_.pop_front();
    Errand& errand = errands_.emplace_back();
    errand.record = record;
    errand.word = word;
    errand.timer = loop_.make_timer([this, &errand] { try_once(errand); });
    try_once(errand);
}

// The timer stands for all that can go wrong: another try then.
void PeerErrands::try_once(Errand& errand) {
    errand.line.reset();
    if (errand.tries_left-- == 0) {
        log_warning("daemon", "migration {}: {} port {} was not told that it is over",
                    errand.record.id.text(), errand.record.peer.address, errand.record.peer.port);
        return drop(&errand);
    }
    errand.timer->start(kBound);
    errand.connector = std::make_unique<net::Connector>(
        loop_, resolver_, net::Address::of_tcp(errand.record.peer.address, errand.record.peer.port),
        kBound, [this, &errand](Result<net::Descriptor> socket) {
            if (socket) speak(errand, std::move(*socket));
        });
}

// A peer that answers `unknown` has forgotten the migration by itself.
void PeerErrands::speak(Errand& errand, net::Descriptor socket) {
    PeerLine::Handlers handlers;
    handlers.message = [this, &errand](const migrate::PeerMessage& message) {
        if (message.kind == Kind::ready) {
            errand.line->send(errand.word);
            errand.line->close();
            // What was sent gets its time to leave, and nothing is tried again.
            errand.timer = loop_.make_timer([this, &errand] { drop(&errand); });
            errand.timer->start(kBound);
        }
    };
    auto filter = dial_filter(settings_, errand.record.peer.tls_name);
    if (!filter) return log_warning("daemon", "peer link: {}", filter.error().message);
    errand.line = std::make_unique<PeerLine>(
        loop_, std::move(socket),
        migrate::PeerLink::dialled(errand.record.id, errand.record.peer.key), std::move(*filter),
        handlers);
}

// Posted: a callback of the errand's own line may be what asks for it.
void PeerErrands::drop(Errand* errand) {
    loop_.post([this, errand, alive = std::weak_ptr<bool>(alive_)] {
        if (alive.expired()) return;
        errands_.remove_if([errand](const Errand& one) { return &one == errand; });
    });
}

}  // namespace segue
