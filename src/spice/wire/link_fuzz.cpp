// SPDX-License-Identifier: LGPL-2.1-or-later
// Both sides of the handshake against hostile bytes, then the framing of what follows. First byte:
// side and authentication; second: how many bytes come at a time.
#include "spice/wire/link.h"

using namespace segue;
using namespace segue::spice::wire;

namespace {

const Capabilities kAll(std::vector<std::uint32_t>{0xf});

void read_messages(HeaderKind kind, ByteView rest) {
    MessageReader reader(kind, 1 << 20);
    reader.feed(rest);
    for (auto message = reader.next(); message && *message; message = reader.next()) {
    }
}

template <class Side>
void run(Side& side, const LinkActions& actions, bool sasl);

LinkActions answer(ServerLink& link, const LinkAction& action, bool sasl) {
    if (const auto* asked = std::get_if<LinkRequested>(&action))
        return link.accept({{}, kAll, kAll, sasl, (asked->channel_id & 1) != 0});
    if (const auto* check = std::get_if<CheckTicket>(&action)) {
        return link.ticket_verdict(check->ticket[0] == 1 ? LinkError::bad_connection_id
                                                         : LinkError::ok);
    }
    if (std::holds_alternative<SaslListNeeded>(action)) return link.sasl_mechanisms("A,B");
    if (const auto* step = std::get_if<SaslServerStep>(&action)) {
        return link.sasl_reply(step->data, !step->data, LinkError::ok);
    }
    return {};
}

LinkActions answer(ClientLink& link, const LinkAction& action, bool) {
    if (std::holds_alternative<EncryptTicket>(action)) return link.send_ticket({});
    if (std::holds_alternative<SaslSecured>(action)) return link.feed(link.take_rest());
    if (std::holds_alternative<SaslMechanismsOffered>(action)) return link.sasl_start("A", Bytes{});
    if (const auto* step = std::get_if<SaslClientStep>(&action)) {
        return step->complete ? link.sasl_finished() : link.sasl_step(step->data);
    }
    return {};
}

template <class Side>
void run(Side& side, const LinkActions& actions, bool sasl) {
    for (const LinkAction& action : actions) {
        if (const auto* linked = std::get_if<Linked>(&action)) {
            read_messages(linked->header, side.take_rest());
        }
        run(side, answer(side, action, sasl), sasl);
    }
}

template <class Side>
void feed(Side& side, ByteView input, std::size_t piece, bool sasl) {
    for (std::size_t at = 0; at < input.size(); at += piece) {
        run(side, side.feed(input.subspan(at, std::min(piece, input.size() - at))), sasl);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    const bool sasl = (data[0] & 2) != 0;
    const std::size_t piece = data[1] + 1u;
    const ByteView input(data + 2, size - 2);
    if ((data[0] & 1) != 0) {
        ServerLink link;
        feed(link, input, piece, sasl);
    } else {
        ClientLink::Request request;
        request.common = kAll;
        request.prefers_sasl = sasl;
        ClientLink link(request);
        link.start();
        feed(link, input, piece, sasl);
    }
    return 0;
}
