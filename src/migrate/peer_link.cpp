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
           kind == Kind::cancels || kind == Kind::releases || kind == Kind::screen;
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

void PeerLink::send_screen(bool last, ByteView state) {
    do {
        const ByteView piece = state.first(std::min<std::size_t>(state.size(), peer::kScreenPiece));
        state = state.subspan(piece.size());
        frame(Kind::screen, peer::Screen{last, !state.empty(), Bytes(piece.begin(), piece.end())});
    } while (!state.empty());
}

void PeerLink::tell_taken(bool last) {
    frame(Kind::screen_taken, peer::Taken{last});
}

Result<std::size_t> PeerLink::wanted() const {
    if (input_.size() < kLengthSize) return kLengthSize;
    const auto length = load<ByteOrder::big, std::uint32_t>(input_.data());
    const bool is_long = length > peer::kFrameMax && length <= peer::kScreenFrameMax;
    if (is_long && input_.size() < kLengthSize + kKindSize) return kLengthSize + kKindSize;
    const bool is_screen =
        is_long && load<ByteOrder::big, std::int32_t>(input_.data() + kLengthSize) ==
                       static_cast<std::int32_t>(Kind::screen);
    if (length < kKindSize || (length > peer::kFrameMax && !is_screen)) {
        return fail(ErrorCode::protocol, "a peer link frame of {} bytes ({} to {} are allowed)",
                    length, kKindSize, peer::kFrameMax);
    }
    return kLengthSize + length;
}

Result<std::vector<PeerMessage>> PeerLink::receive(ByteView bytes) {
    std::vector<PeerMessage> messages;
    while (true) {
        // Never holds more than one frame: the rest waits in the caller's view.
        const std::size_t whole = TRY(wanted());
        if (input_.size() < whole) {
            const std::size_t taken = std::min(whole - input_.size(), bytes.size());
            input_.insert(input_.end(), bytes.begin(), bytes.begin() + taken);
            bytes = bytes.subspan(taken);
            if (input_.size() < whole) return messages;
            continue;
        }
        PeerMessage message = TRY(parse(ByteView(input_).subspan(kLengthSize)));
        if (auto fits = check_order(message); !fits) return tl::make_unexpected(fits.error());
        messages.push_back(std::move(message));
        input_.clear();
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
        case Kind::screen: {
            auto screen = TRY(parse_body<peer::Screen>(body, "screen"));
            message.screen = {screen.last, screen.more, std::move(screen.data)};
            return message;
        }
        case Kind::screen_taken:
            message.screen.last = TRY(parse_body<peer::Taken>(body, "screen_taken")).last;
            return message;
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
