// SPDX-License-Identifier: LGPL-2.1-or-later
// The link handshake of one channel, both sides, without I/O or cryptography: bytes and the owner's
// decisions go in, actions come out, to be carried out in order.
//
//   ServerLink link;
//   for (auto& action : link.feed(bytes)) std::visit(overloaded{
//       [&](SendBytes& send)      { queue(send.bytes); },
//       [&](LinkRequested& asked) { run(link.accept({key, common, channel})); },   // or
//       reject(error)
//       [&](CheckTicket& ticket)  { run(link.ticket_verdict(decrypts(ticket) ? ok : denied)); },
//       [&](Linked& linked)       { start(linked.header, link.take_rest()); },
//       [&](CloseLink& close)     { log; close the connection when all is sent; }}, action);
//
// Wire facts: spice/protocol.h; the order of the SASL exchange as spice-server 0.15.1 has it.
#pragma once

#include <variant>

#include "spice/wire/capabilities.h"
#include "spice/wire/framing.h"
#include "spice/wire/link.schema.h"

namespace segue::spice::wire {

using PublicKey = std::array<std::uint8_t, link::kPublicKey>;
using Ticket = std::array<std::uint8_t, link::kTicket>;
// SASL tells "no data" from "empty data".
using SaslData = std::optional<Bytes>;

// --- Actions -------------------------------------------------------------------------------------

struct SendBytes {
    Bytes bytes;
};
// Server: a client wants this channel. Answer with accept() or reject().
struct LinkRequested {
    std::uint32_t connection_id = 0;
    ChannelType channel_type = ChannelType::main;
    std::uint8_t channel_id = 0;
    Capabilities common;
    Capabilities channel;
};
// Server: decrypt with the private key (RSA-OAEP, SHA-1): password and NUL. Answer:
// ticket_verdict().
struct CheckTicket {
    Ticket ticket;
};
// Client: encrypt password and NUL with this key. Answer: send_ticket().
struct EncryptTicket {
    PublicKey public_key;
};
// Server: answer with sasl_mechanisms("A,B").
struct SaslListNeeded {};
// Server: sasl_server_start (mechanism given) or sasl_server_step. Answer: sasl_reply().
struct SaslServerStep {
    std::string mechanism;
    SaslData data;
};
// Client: sasl_client_start on this list. Answer: sasl_start().
struct SaslMechanismsOffered {
    std::string mechanisms;
};
// Client: sasl_client_step. Answer: sasl_step() to go on, or sasl_finished() when `complete` and
// the library is content.
struct SaslClientStep {
    SaslData data;
    bool complete = false;
};
// Both sides: the SASL security layer, if there is one, begins here. A second result follows inside
// of it (as a trace of spice-server 0.15.1 has it). The client takes what has come already with
// take_rest(), and feeds it again as the layer makes it.
struct SaslSecured {};
// The channel's messages begin. The client also learns what the server can do.
struct Linked {
    HeaderKind header = HeaderKind::full;
    Capabilities common;
    Capabilities channel;
};
// Over. `error` is what was, or is to be, sent; `reason` is for the log.
struct CloseLink {
    LinkError error = LinkError::error;
    Error reason;
};

using LinkAction = std::variant<SendBytes, LinkRequested, CheckTicket, EncryptTicket,
                                SaslListNeeded, SaslServerStep, SaslMechanismsOffered,
                                SaslClientStep, SaslSecured, Linked, CloseLink>;
using LinkActions = std::vector<LinkAction>;

// --- Input that waits for its turn ---------------------------------------------------------------

class LinkInput {
  public:
    void feed(ByteView bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
    ByteView view() const { return ByteView(bytes_).subspan(used_); }
    std::size_t size() const { return bytes_.size() - used_; }
    void use(std::size_t size) { used_ += size; }
    Bytes take_rest();

  private:
    Bytes bytes_;
    std::size_t used_ = 0;
};

// --- The server's side ---------------------------------------------------------------------------

class ServerLink {
  public:
    enum class State {
        request,
        deciding,
        mechanism,
        ticket,
        judging,
        sasl_list,
        sasl_start,
        sasl_step,
        sasl_judging,
        linked,
        closed
    };
    enum class Event { bytes, accept, reject, ticket_verdict, sasl_mechanisms, sasl_reply };
    // The table: whether `event` has a meaning in `state`. Elsewhere it closes the link with
    // ErrorCode::operation_invalid, which names both.
    static bool allows(State state, Event event);

    struct Offer {
        PublicKey public_key{};
        Capabilities common;
        Capabilities channel;
        // SASL instead of tickets: a client that cannot choose is refused.
        bool sasl = false;
        // Whatever the ticket is: the result goes out with the reply, and the client's messages
        // come with its ticket, a round trip earlier. Not with SASL.
        bool any_ticket = false;
    };

    LinkActions feed(ByteView bytes);
    LinkActions accept(const Offer& offer);
    LinkActions reject(LinkError error, std::string_view why);
    LinkActions ticket_verdict(LinkError verdict);
    LinkActions sasl_mechanisms(std::string_view list);
    // `verdict` other than ok: refused (bad password, weak security layer).
    LinkActions sasl_reply(const SaslData& data, bool complete, LinkError verdict);

    State state() const { return state_; }
    // Bytes behind the handshake: the first of the channel's messages. Only when linked.
    Bytes take_rest() { return input_.take_rest(); }

  private:
    bool step(LinkActions& actions);
    bool read_request(LinkActions& actions);
    bool read_mechanism(LinkActions& actions);
    bool read_ticket(LinkActions& actions);
    bool read_sasl_start(LinkActions& actions);
    bool read_sasl_step(LinkActions& actions, std::size_t at, std::string mechanism);
    bool has_told_result() const { return offer_.any_ticket && !offer_.sasl; }
    void finish(LinkActions& actions);
    void close(LinkActions& actions, LinkError error, Error reason);
    bool refuse(LinkActions& actions, Event event);
    LinkActions run(LinkActions actions);

    State state_ = State::request;
    LinkInput input_;
    LinkRequested request_;
    Offer offer_;
    std::string mechanisms_;
    bool replied_ = false;
};

// --- The client's side ---------------------------------------------------------------------------

class ClientLink {
  public:
    enum class State {
        idle,
        reply,
        encrypting,
        result,
        sasl_list,
        sasl_choosing,
        sasl_answer,
        sasl_thinking,
        sasl_result,
        linked,
        closed
    };
    enum class Event { start, bytes, send_ticket, sasl_start, sasl_step, sasl_finished };
    static bool allows(State state, Event event);

    struct Request {
        std::uint32_t connection_id = 0;
        ChannelType channel_type = ChannelType::main;
        std::uint8_t channel_id = 0;
        Capabilities common;
        Capabilities channel;
        // Take SASL where the server has it; else the ticket.
        bool prefers_sasl = false;
    };

    explicit ClientLink(Request request) : request_(std::move(request)) {}

    LinkActions start();
    LinkActions feed(ByteView bytes);
    LinkActions send_ticket(const Ticket& ticket);
    LinkActions sasl_start(std::string_view mechanism, const SaslData& data);
    LinkActions sasl_step(const SaslData& data);
    LinkActions sasl_finished();

    State state() const { return state_; }
    Bytes take_rest() { return input_.take_rest(); }

  private:
    bool step(LinkActions& actions);
    bool read_reply(LinkActions& actions);
    bool read_result(LinkActions& actions);
    bool read_sasl_list(LinkActions& actions);
    bool read_sasl_answer(LinkActions& actions);
    bool read_sasl_result(LinkActions& actions);
    std::optional<LinkError> read_error();
    void close(LinkActions& actions, LinkError error, Error reason);
    bool refuse(LinkActions& actions, Event event);
    LinkActions run(LinkActions actions);

    State state_ = State::idle;
    LinkInput input_;
    Request request_;
    Linked linked_;
};

std::string_view name_of(ServerLink::State state);
std::string_view name_of(ServerLink::Event event);
std::string_view name_of(ClientLink::State state);
std::string_view name_of(ClientLink::Event event);

}  // namespace segue::spice::wire
