// SPDX-License-Identifier: LGPL-2.1-or-later
#include "migrate/peer_link.h"

#include "migrate/peer_link.schema.h"

namespace segue::migrate {
namespace {

using peer::Kind;

constexpr std::size_t kLengthSize = 4;
constexpr std::size_t kKindSize = 4;

// Which end may say it.
bool source_says(Kind kind) {
    return kind == Kind::hello || kind == Kind::gives || kind == Kind::asks ||
           kind == Kind::cancels || kind == Kind::releases;
}

template <class Body>
Result<Body> parse_body(ByteView bytes, std::string_view name) {
    rpc::XdrReader reader(bytes);
    Body body;
    read(reader, body);
    if (auto done = reader.finish(name); !done) return tl::make_unexpected(done.error());
    return body;
}

}  // namespace

std::optional<SourceEvent> PeerMessage::source_event() const {
    switch (kind) {
        case Kind::received: return SourceEvent::peer_received;
        case Kind::took: return SourceEvent::peer_took;
        case Kind::refused: return SourceEvent::peer_refused;
        case Kind::unknown: return SourceEvent::peer_unknown;
        default: return std::nullopt;
    }
}

std::optional<DestinationEvent> PeerMessage::destination_event() const {
    switch (kind) {
        case Kind::gives: return DestinationEvent::right_given;
        case Kind::asks: return DestinationEvent::peer_asks;
        case Kind::cancels: return DestinationEvent::peer_cancels;
        case Kind::releases: return DestinationEvent::peer_released;
        default: return std::nullopt;
    }
}

PeerLink PeerLink::dialled(const Uuid& migration, const PeerKey& key) {
    PeerLink link(Role::source);
    link.greeted_ = true;
    link.frame(Kind::hello,
               peer::Hello{static_cast<std::uint32_t>(peer::kVersion), migration.bytes, key});
    return link;
}

PeerLink PeerLink::accepted() {
    return PeerLink(Role::destination);
}

template <class Body>
void PeerLink::frame(Kind kind, const Body& body) {
    Bytes content;
    rpc::XdrWriter writer(content);
    writer.i32(static_cast<std::int32_t>(kind));
    write(writer, body);
    rpc::XdrWriter length(output_);
    length.u32(static_cast<std::uint32_t>(content.size()));
    output_.insert(output_.end(), content.begin(), content.end());
}

void PeerLink::accept() {
    ready_ = true;
    send(Kind::ready);
}

void PeerLink::refuse() {
    send(Kind::unknown);
}

void PeerLink::send(Kind kind) {
    frame(kind, rpc::Nothing{});
}

void PeerLink::give(const GivenRight& right) {
    frame(Kind::gives, peer::Right{right.id.bytes, right.key, right.run_guest});
}

void PeerLink::tell_linked(LinkedChannel channel) {
    frame(Kind::linked, peer::Channel{channel.type, channel.id});
}

Result<std::vector<PeerMessage>> PeerLink::receive(ByteView bytes) {
    std::vector<PeerMessage> messages;
    while (true) {
        // Never holds more than one frame: the rest waits in the caller's view.
        const std::size_t room = kLengthSize + peer::kFrameMax - input_.size();
        const std::size_t taken = std::min(room, bytes.size());
        input_.insert(input_.end(), bytes.begin(), bytes.begin() + taken);
        bytes = bytes.subspan(taken);
        if (input_.size() < kLengthSize) return messages;
        const auto length = load<ByteOrder::big, std::uint32_t>(input_.data());
        if (length < kKindSize || length > peer::kFrameMax) {
            return fail(ErrorCode::protocol, "a peer link frame of {} bytes ({} to {} are allowed)",
                        length, kKindSize, peer::kFrameMax);
        }
        if (input_.size() < kLengthSize + length) return messages;
        PeerMessage message = TRY(parse(ByteView(input_).subspan(kLengthSize, length)));
        if (auto fits = check_order(message); !fits) return tl::make_unexpected(fits.error());
        messages.push_back(std::move(message));
        input_.erase(input_.begin(), input_.begin() + kLengthSize + length);
    }
}

Result<PeerMessage> PeerLink::parse(ByteView frame) const {
    PeerMessage message;
    message.kind = static_cast<Kind>(load<ByteOrder::big, std::int32_t>(frame.data()));
    const ByteView body = frame.subspan(kKindSize);
    switch (message.kind) {
        case Kind::hello: {
            const auto hello = TRY(parse_body<peer::Hello>(body, "hello"));
            if (hello.spoken != peer::kVersion) {
                return fail(ErrorCode::protocol,
                            "the peer speaks version {} of the peer link, this daemon {}",
                            hello.spoken, peer::kVersion);
            }
            message.right = {Uuid{hello.migration}, hello.key, true};
            return message;
        }
        case Kind::gives: {
            const auto right = TRY(parse_body<peer::Right>(body, "gives"));
            message.right = {Uuid{right.migration}, right.key, right.run_guest};
            return message;
        }
        case Kind::linked: {
            const auto channel = TRY(parse_body<peer::Channel>(body, "linked"));
            message.channel = {channel.type, channel.id};
            return message;
        }
        default:
            if (!peer::is_known(message.kind)) {
                return fail(ErrorCode::protocol, "unknown kind {} on a peer link",
                            static_cast<std::int32_t>(message.kind));
            }
            TRY(parse_body<rpc::Nothing>(body, name_of(message.kind)));
            return message;
    }
}

Result<> PeerLink::check_order(const PeerMessage& message) {
    const Kind kind = message.kind;
    if (source_says(kind) != (role_ == Role::destination)) {
        return fail(ErrorCode::protocol, "'{}' came from the wrong end of a peer link",
                    name_of(kind));
    }
    const bool first = role_ == Role::destination ? !greeted_ : !ready_;
    const bool unknown = role_ == Role::source && kind == Kind::unknown;
    const Kind greeting = role_ == Role::destination ? Kind::hello : Kind::ready;
    if (first != (kind == greeting) && !unknown) {
        return fail(ErrorCode::protocol, "'{}' came {} the greeting of a peer link", name_of(kind),
                    first ? "before" : "after");
    }
    greeted_ = true;
    if (kind == Kind::ready) ready_ = true;
    // A destination that has not accepted yet stops here: nothing else may come in between.
    if (role_ == Role::destination && !first && !ready_) {
        return fail(ErrorCode::protocol, "'{}' came before the hello was accepted", name_of(kind));
    }
    return {};
}

}  // namespace segue::migrate
