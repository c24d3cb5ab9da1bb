// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/wire/link_detail.h"

namespace segue::spice::wire {

using namespace link_detail;  // NOLINT: the shared half of this file

namespace {

using State = ServerLink::State;
using Event = ServerLink::Event;

struct Allowed {
    Event event;
    std::initializer_list<State> states;
};
// Bytes are welcome in every state: they wait, up to a limit, until their turn comes.
const Allowed kTable[] = {
    {Event::bytes,
     {State::request, State::deciding, State::mechanism, State::ticket, State::judging,
      State::sasl_list, State::sasl_start, State::sasl_step, State::sasl_judging, State::linked,
      State::closed}},
    {Event::accept, {State::deciding}},
    {Event::reject,
     {State::request, State::deciding, State::mechanism, State::ticket, State::judging,
      State::sasl_list, State::sasl_start, State::sasl_step, State::sasl_judging}},
    {Event::ticket_verdict, {State::judging}},
    {Event::sasl_mechanisms, {State::sasl_list}},
    {Event::sasl_reply, {State::sasl_judging}},
};

}  // namespace

bool ServerLink::allows(State state, Event event) {
    for (const Allowed& row : kTable) {
        if (row.event != event) continue;
        for (const State allowed : row.states) {
            if (allowed == state) return true;
        }
    }
    return false;
}

bool ServerLink::refuse(LinkActions& actions, Event event) {
    if (allows(state_, event)) return false;
    close(actions, LinkError::error,
          {ErrorCode::operation_invalid,
           fmt::format("SPICE link (server): {} in state {}", name_of(event), name_of(state_))});
    return true;
}

void ServerLink::close(LinkActions& actions, LinkError error, Error reason) {
    if (state_ == State::closed) return;
    // Before the reply an error is a reply; behind it, it is the result of the authentication. In
    // the middle of SASL there is no place for a result: what makes no sense is answered as stock
    // does, by a second reply, and everything else by silence.
    const bool in_sasl = state_ == State::sasl_list || state_ == State::sasl_start ||
                         state_ == State::sasl_step || state_ == State::sasl_judging;
    if (state_ == State::request || state_ == State::deciding ||
        (in_sasl && error == LinkError::invalid_data)) {
        link::LinkReply reply;
        reply.error = error;
        reply.capabilities_offset = kReplySize;
        actions.push_back(SendBytes{with_header(encode(0, reply), {}, {})});
    } else if (state_ != State::linked && !in_sasl && !has_told_result()) {
        actions.push_back(SendBytes{number(static_cast<std::uint32_t>(error))});
    }
    state_ = State::closed;
    actions.push_back(CloseLink{error, std::move(reason)});
}

LinkActions ServerLink::run(LinkActions actions) {
    while (step(actions)) {
    }
    return actions;
}

LinkActions ServerLink::feed(ByteView bytes) {
    LinkActions actions;
    if (state_ == State::closed) return actions;
    input_.feed(bytes);
    actions = run(std::move(actions));
    const bool sasl = state_ == State::sasl_start || state_ == State::sasl_step;
    const std::size_t limit = kWaiting + (sasl ? link::kSaslData : 0);
    if (state_ != State::linked && state_ != State::closed && input_.size() > limit) {
        close(actions, LinkError::invalid_data,
              {ErrorCode::limit_exceeded,
               fmt::format("SPICE link: {} bytes came ahead of their turn, at most {}",
                           input_.size(), limit)});
    }
    return actions;
}

// One state's work; true if there may be more to do at once.
bool ServerLink::step(LinkActions& actions) {
    switch (state_) {
        case State::request: return read_request(actions);
        case State::mechanism: return read_mechanism(actions);
        case State::ticket: return read_ticket(actions);
        case State::sasl_start: return read_sasl_start(actions);
        case State::sasl_step: return read_sasl_step(actions, 0, "");
        case State::deciding:
        case State::judging:
        case State::sasl_list:
        case State::sasl_judging:
        case State::linked:
        case State::closed: break;
    }
    return false;
}

bool ServerLink::read_request(LinkActions& actions) {
    const auto header = peek_header(input_);
    if (!header) return close(actions, LinkError::invalid_magic, header.error()), false;
    if (!*header) return false;
    const std::uint32_t size = (*header)->size;
    if ((*header)->major != link::kMajorVersion) {
        close(
            actions, LinkError::version_mismatch,
            {ErrorCode::protocol, fmt::format("SPICE link: the client speaks version {}.{}, we 2.2",
                                              (*header)->major, (*header)->minor)});
        return false;
    }
    if (size < kRequestSize || size > link::kLinkBody) {
        close(actions, LinkError::invalid_data,
              {ErrorCode::limit_exceeded,
               fmt::format("SPICE link: a request of {} bytes, {} to {} are allowed", size,
                           kRequestSize, link::kLinkBody)});
        return false;
    }
    if (input_.size() < kHeaderSize + size) return false;
    const ByteView body = input_.view().subspan(kHeaderSize, size);
    const auto request = parse<link::LinkRequest>(SharedBytes::borrow(body));
    if (!request) return close(actions, LinkError::invalid_data, request.error()), false;
    auto words = read_words(body, request->common_count, request->channel_count,
                            request->capabilities_offset, kRequestSize);
    if (!words) return close(actions, LinkError::invalid_data, words.error()), false;
    request_ = {request->connection_id, request->channel_type, request->channel_id,
                std::move(words->common), std::move(words->channel)};
    input_.use(kHeaderSize + size);
    state_ = State::deciding;
    actions.push_back(request_);
    return false;
}

LinkActions ServerLink::accept(const Offer& offer) {
    LinkActions actions;
    if (refuse(actions, Event::accept)) return actions;
    offer_ = offer;
    link::LinkReply reply;
    reply.error = LinkError::ok;
    reply.public_key = offer.public_key;
    reply.common_count = static_cast<std::uint32_t>(offer.common.words().size());
    reply.channel_count = static_cast<std::uint32_t>(offer.channel.words().size());
    reply.capabilities_offset = kReplySize;
    const bool chooses = request_.common.has(CommonCapability::auth_selection) &&
                         offer.common.has(CommonCapability::auth_selection);
    if (!chooses && offer.sasl) {
        close(
            actions, LinkError::version_mismatch,
            {ErrorCode::auth_failed, "SPICE link: SASL is demanded, the client cannot choose it"});
        return actions;
    }
    Bytes bytes = with_header(encode(0, reply), offer.common, offer.channel);
    if (has_told_result()) {
        const Bytes result = number(static_cast<std::uint32_t>(LinkError::ok));
        bytes.insert(bytes.end(), result.begin(), result.end());
    }
    actions.push_back(SendBytes{std::move(bytes)});
    state_ = chooses ? State::mechanism : State::ticket;
    return run(std::move(actions));
}

LinkActions ServerLink::reject(LinkError error, std::string_view why) {
    LinkActions actions;
    if (refuse(actions, Event::reject)) return actions;
    close(actions, error, {ErrorCode::denied, std::string(why)});
    return actions;
}

bool ServerLink::read_mechanism(LinkActions& actions) {
    if (input_.size() < 4) return false;
    const auto mechanism = static_cast<link::AuthMechanism>(
        load<ByteOrder::little, std::uint32_t>(input_.view().data()));
    input_.use(4);
    const auto wanted = offer_.sasl ? link::AuthMechanism::sasl : link::AuthMechanism::spice;
    if (mechanism != wanted) {
        close(actions, LinkError::invalid_data,
              {ErrorCode::auth_failed,
               fmt::format("SPICE link: the client chose authentication {}, {} is demanded",
                           static_cast<std::uint32_t>(mechanism), name_of(wanted))});
        return false;
    }
    state_ = offer_.sasl ? State::sasl_list : State::ticket;
    if (offer_.sasl) actions.push_back(SaslListNeeded{});
    return true;
}

bool ServerLink::read_ticket(LinkActions& actions) {
    CheckTicket check;
    if (input_.size() < check.ticket.size()) return false;
    std::memcpy(check.ticket.data(), input_.view().data(), check.ticket.size());
    input_.use(check.ticket.size());
    state_ = State::judging;
    actions.push_back(check);
    return false;
}

LinkActions ServerLink::ticket_verdict(LinkError verdict) {
    LinkActions actions;
    if (refuse(actions, Event::ticket_verdict)) return actions;
    if (verdict == LinkError::ok) {
        finish(actions);
    } else {
        close(actions, verdict,
              {ErrorCode::auth_failed, "SPICE link: wrong or expired ticket; set a new one"});
    }
    return actions;
}

void ServerLink::finish(LinkActions& actions) {
    if (offer_.sasl) {
        actions.push_back(SendBytes{number(static_cast<std::uint32_t>(LinkError::ok))});
        actions.push_back(SaslSecured{});
    }
    if (!has_told_result())
        actions.push_back(SendBytes{number(static_cast<std::uint32_t>(LinkError::ok))});
    state_ = State::linked;
    const bool mini = request_.common.has(CommonCapability::mini_header) &&
                      offer_.common.has(CommonCapability::mini_header);
    actions.push_back(
        Linked{mini ? HeaderKind::mini : HeaderKind::full, request_.common, request_.channel});
}

LinkActions ServerLink::sasl_mechanisms(std::string_view list) {
    LinkActions actions;
    if (refuse(actions, Event::sasl_mechanisms)) return actions;
    mechanisms_ = list;
    LittleWriter writer;
    writer.u32(static_cast<std::uint32_t>(list.size()));
    writer.bytes(as_bytes(list));
    actions.push_back(SendBytes{writer.take()});
    state_ = State::sasl_start;
    return run(std::move(actions));
}

bool ServerLink::read_sasl_start(LinkActions& actions) {
    const ByteView view = input_.view();
    if (view.size() < 4) return false;
    const auto size = load<ByteOrder::little, std::uint32_t>(view.data());
    if (size == 0 || size > link::kSaslMechanism) {
        close(actions, LinkError::error,
              {ErrorCode::limit_exceeded,
               fmt::format("SPICE link: a SASL mechanism's name of {} bytes, 1 to {} are allowed",
                           size, link::kSaslMechanism)});
        return false;
    }
    if (view.size() - 4 < size) return false;
    std::string name(as_text(view.subspan(4, size)));
    const bool offered = name.find(',') == std::string::npos &&
                         ("," + mechanisms_ + ",").find("," + name + ",") != std::string::npos;
    if (!offered) {
        close(
            actions, LinkError::invalid_data,
            {ErrorCode::auth_failed, "SPICE link: the client chose a SASL mechanism not offered"});
        return false;
    }
    return read_sasl_step(actions, 4 + size, std::move(name));
}

bool ServerLink::read_sasl_step(LinkActions& actions, std::size_t at, std::string mechanism) {
    auto read = read_sasl_data(input_.view().subspan(at));
    if (!read) {
        close(actions, mechanism.empty() ? LinkError::error : LinkError::invalid_data,
              read.error());
        return false;
    }
    if (!*read) return false;
    input_.use(at + (*read)->size);
    state_ = State::sasl_judging;
    actions.push_back(SaslServerStep{std::move(mechanism), std::move((*read)->data)});
    return false;
}

LinkActions ServerLink::sasl_reply(const SaslData& data, bool complete, LinkError verdict) {
    LinkActions actions;
    if (refuse(actions, Event::sasl_reply)) return actions;
    if (verdict == LinkError::ok || complete) {
        LittleWriter writer;
        write_sasl_data(writer, data);
        writer.u8(complete ? 1 : 0);
        actions.push_back(SendBytes{writer.take()});
    }
    if (verdict != LinkError::ok) {
        if (complete) actions.push_back(SendBytes{number(static_cast<std::uint32_t>(verdict))});
        close(actions, LinkError::error,
              {ErrorCode::auth_failed, "SPICE link: SASL refused the client"});
    } else if (complete) {
        finish(actions);
    } else {
        state_ = State::sasl_step;
    }
    return run(std::move(actions));
}

std::string_view name_of(ServerLink::State state) {
    switch (state) {
        case State::request: return "request";
        case State::deciding: return "deciding";
        case State::mechanism: return "mechanism";
        case State::ticket: return "ticket";
        case State::judging: return "judging";
        case State::sasl_list: return "sasl_list";
        case State::sasl_start: return "sasl_start";
        case State::sasl_step: return "sasl_step";
        case State::sasl_judging: return "sasl_judging";
        case State::linked: return "linked";
        case State::closed: return "closed";
    }
    return "unknown";
}

std::string_view name_of(ServerLink::Event event) {
    switch (event) {
        case Event::bytes: return "bytes";
        case Event::accept: return "accept";
        case Event::reject: return "reject";
        case Event::ticket_verdict: return "ticket_verdict";
        case Event::sasl_mechanisms: return "sasl_mechanisms";
        case Event::sasl_reply: return "sasl_reply";
    }
    return "unknown";
}

}  // namespace segue::spice::wire
