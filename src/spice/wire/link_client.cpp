// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/wire/link_detail.h"

namespace segue::spice::wire {

using namespace link_detail;  // NOLINT: the shared half of this file

namespace {

using State = ClientLink::State;
using Event = ClientLink::Event;

struct Allowed {
    Event event;
    std::initializer_list<State> states;
};
const Allowed kTable[] = {
    {Event::start, {State::idle}},
    {Event::bytes,
     {State::reply, State::encrypting, State::result, State::sasl_list, State::sasl_choosing,
      State::sasl_answer, State::sasl_thinking, State::sasl_result, State::linked, State::closed}},
    {Event::send_ticket, {State::encrypting}},
    {Event::sasl_start, {State::sasl_choosing}},
    {Event::sasl_step, {State::sasl_thinking}},
    {Event::sasl_finished, {State::sasl_thinking}},
};

}  // namespace

bool ClientLink::allows(State state, Event event) {
    for (const Allowed& row : kTable) {
        if (row.event != event) continue;
        for (const State allowed : row.states) {
            if (allowed == state) return true;
        }
    }
    return false;
}

bool ClientLink::refuse(LinkActions& actions, Event event) {
    if (allows(state_, event)) return false;
    close(actions, LinkError::error,
          {ErrorCode::operation_invalid,
           fmt::format("SPICE link (client): {} in state {}", name_of(event), name_of(state_))});
    return true;
}

void ClientLink::close(LinkActions& actions, LinkError error, Error reason) {
    if (state_ == State::closed) return;
    state_ = State::closed;
    actions.push_back(CloseLink{error, std::move(reason)});
}

LinkActions ClientLink::run(LinkActions actions) {
    while (step(actions)) {
    }
    return actions;
}

LinkActions ClientLink::start() {
    LinkActions actions;
    if (refuse(actions, Event::start)) return actions;
    link::LinkRequest request;
    request.connection_id = request_.connection_id;
    request.channel_type = request_.channel_type;
    request.channel_id = request_.channel_id;
    request.common_count = static_cast<std::uint32_t>(request_.common.words().size());
    request.channel_count = static_cast<std::uint32_t>(request_.channel.words().size());
    request.capabilities_offset = kRequestSize;
    actions.push_back(
        SendBytes{with_header(encode(0, request), request_.common, request_.channel)});
    state_ = State::reply;
    return actions;
}

LinkActions ClientLink::feed(ByteView bytes) {
    LinkActions actions;
    if (state_ == State::closed || refuse(actions, Event::bytes)) return actions;
    input_.feed(bytes);
    actions = run(std::move(actions));
    const bool sasl = state_ == State::sasl_answer;
    const std::size_t limit = kWaiting + (sasl ? link::kSaslData : 0);
    if (state_ != State::linked && state_ != State::closed && input_.size() > limit) {
        close(actions, LinkError::invalid_data,
              {ErrorCode::limit_exceeded,
               fmt::format("SPICE link: {} bytes came ahead of their turn, at most {}",
                           input_.size(), limit)});
    }
    return actions;
}

bool ClientLink::step(LinkActions& actions) {
    switch (state_) {
        case State::reply: return read_reply(actions);
        case State::result: return read_result(actions);
        case State::sasl_list: return read_sasl_list(actions);
        case State::sasl_answer: return read_sasl_answer(actions);
        case State::sasl_result: return read_sasl_result(actions);
        case State::idle:
        case State::encrypting:
        case State::sasl_choosing:
        case State::sasl_thinking:
        case State::linked:
        case State::closed: break;
    }
    return false;
}

bool ClientLink::read_reply(LinkActions& actions) {
    const auto header = peek_header(input_);
    if (!header) return close(actions, LinkError::invalid_magic, header.error()), false;
    if (!*header) return false;
    const std::uint32_t size = (*header)->size;
    if ((*header)->major != link::kMajorVersion || size < 4 || size > link::kLinkBody) {
        close(actions, LinkError::version_mismatch,
              {ErrorCode::protocol, fmt::format("SPICE link: a server's reply of version {} and {} "
                                                "bytes; 2 and at most {} are allowed",
                                                (*header)->major, size, link::kLinkBody)});
        return false;
    }
    if (input_.size() < kHeaderSize + size) return false;
    const ByteView body = input_.view().subspan(kHeaderSize, size);
    // An error may be all that a server sends.
    const auto error = static_cast<LinkError>(load<ByteOrder::little, std::uint32_t>(body.data()));
    if (error != LinkError::ok) {
        close(actions, error,
              {ErrorCode::denied,
               fmt::format("the SPICE server refuses the channel: {}", name_of(error))});
        return false;
    }
    const auto reply = parse<link::LinkReply>(SharedBytes::borrow(body));
    if (!reply) return close(actions, LinkError::invalid_data, reply.error()), false;
    auto words = read_words(body, reply->common_count, reply->channel_count,
                            reply->capabilities_offset, kReplySize);
    if (!words) return close(actions, LinkError::invalid_data, words.error()), false;
    input_.use(kHeaderSize + size);

    linked_.common = std::move(words->common);
    linked_.channel = std::move(words->channel);
    const auto both = [&](CommonCapability one) {
        return request_.common.has(one) && linked_.common.has(one);
    };
    linked_.header = both(CommonCapability::mini_header) ? HeaderKind::mini : HeaderKind::full;
    const bool sasl = both(CommonCapability::auth_selection) && both(CommonCapability::auth_sasl) &&
                      (request_.prefers_sasl || !linked_.common.has(CommonCapability::auth_spice));
    if (both(CommonCapability::auth_selection)) {
        const auto mechanism = sasl ? link::AuthMechanism::sasl : link::AuthMechanism::spice;
        actions.push_back(SendBytes{number(static_cast<std::uint32_t>(mechanism))});
    }
    state_ = sasl ? State::sasl_list : State::encrypting;
    if (!sasl) actions.push_back(EncryptTicket{reply->public_key});
    return true;
}

LinkActions ClientLink::send_ticket(const Ticket& ticket) {
    LinkActions actions;
    if (refuse(actions, Event::send_ticket)) return actions;
    actions.push_back(SendBytes{Bytes(ticket.begin(), ticket.end())});
    state_ = State::result;
    return run(std::move(actions));
}

std::optional<LinkError> ClientLink::read_error() {
    if (input_.size() < 4) return std::nullopt;
    const auto result =
        static_cast<LinkError>(load<ByteOrder::little, std::uint32_t>(input_.view().data()));
    input_.use(4);
    return result;
}

bool ClientLink::read_result(LinkActions& actions) {
    const auto result = read_error();
    if (!result) return false;
    if (*result == LinkError::ok) {
        state_ = State::linked;
        actions.push_back(linked_);
        return false;
    }
    const ErrorCode code =
        *result == LinkError::permission_denied ? ErrorCode::auth_failed : ErrorCode::denied;
    close(actions, *result,
          {code, fmt::format("the SPICE server refuses the login: {}", name_of(*result))});
    return false;
}

// In clear; the one that every login has follows inside the security layer.
bool ClientLink::read_sasl_result(LinkActions& actions) {
    const auto result = read_error();
    if (!result) return false;
    if (*result == LinkError::ok) {
        state_ = State::result;
        actions.push_back(SaslSecured{});
        return false;
    }
    close(actions, *result,
          {ErrorCode::auth_failed,
           fmt::format("the SPICE server refuses the SASL login: {}", name_of(*result))});
    return false;
}

bool ClientLink::read_sasl_list(LinkActions& actions) {
    const ByteView view = input_.view();
    if (view.size() < 4) return false;
    const auto size = load<ByteOrder::little, std::uint32_t>(view.data());
    if (size > link::kSaslMechanisms) {
        close(actions, LinkError::invalid_data,
              {ErrorCode::limit_exceeded,
               fmt::format("SPICE link: a list of SASL mechanisms of {} bytes, at most {}", size,
                           link::kSaslMechanisms)});
        return false;
    }
    if (view.size() - 4 < size) return false;
    actions.push_back(SaslMechanismsOffered{std::string(as_text(view.subspan(4, size)))});
    input_.use(4 + size);
    state_ = State::sasl_choosing;
    return false;
}

LinkActions ClientLink::sasl_start(std::string_view mechanism, const SaslData& data) {
    LinkActions actions;
    if (refuse(actions, Event::sasl_start)) return actions;
    LittleWriter writer;
    writer.u32(static_cast<std::uint32_t>(mechanism.size()));
    writer.bytes(as_bytes(mechanism));
    write_sasl_data(writer, data);
    actions.push_back(SendBytes{writer.take()});
    state_ = State::sasl_answer;
    return run(std::move(actions));
}

bool ClientLink::read_sasl_answer(LinkActions& actions) {
    auto read = read_sasl_data(input_.view());
    if (!read) return close(actions, LinkError::invalid_data, read.error()), false;
    if (!*read || input_.size() < (*read)->size + 1) return false;
    const bool complete = input_.view()[(*read)->size] != 0;
    input_.use((*read)->size + 1);
    state_ = State::sasl_thinking;
    actions.push_back(SaslClientStep{std::move((*read)->data), complete});
    return false;
}

LinkActions ClientLink::sasl_step(const SaslData& data) {
    LinkActions actions;
    if (refuse(actions, Event::sasl_step)) return actions;
    LittleWriter writer;
    write_sasl_data(writer, data);
    actions.push_back(SendBytes{writer.take()});
    state_ = State::sasl_answer;
    return run(std::move(actions));
}

LinkActions ClientLink::sasl_finished() {
    LinkActions actions;
    if (refuse(actions, Event::sasl_finished)) return actions;
    state_ = State::sasl_result;
    return run(std::move(actions));
}

std::string_view name_of(ClientLink::State state) {
    switch (state) {
        case State::idle: return "idle";
        case State::reply: return "reply";
        case State::encrypting: return "encrypting";
        case State::result: return "result";
        case State::sasl_list: return "sasl_list";
        case State::sasl_choosing: return "sasl_choosing";
        case State::sasl_answer: return "sasl_answer";
        case State::sasl_thinking: return "sasl_thinking";
        case State::sasl_result: return "sasl_result";
        case State::linked: return "linked";
        case State::closed: return "closed";
    }
    return "unknown";
}

std::string_view name_of(ClientLink::Event event) {
    switch (event) {
        case Event::start: return "start";
        case Event::bytes: return "bytes";
        case Event::send_ticket: return "send_ticket";
        case Event::sasl_start: return "sasl_start";
        case Event::sasl_step: return "sasl_step";
        case Event::sasl_finished: return "sasl_finished";
    }
    return "unknown";
}

}  // namespace segue::spice::wire
