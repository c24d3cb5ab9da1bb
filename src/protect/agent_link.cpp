// SPDX-License-Identifier: LGPL-2.1-or-later
#include "protect/agent_link.h"

#include "rpc/xdr.h"

namespace segue {
namespace {

using protect::agent::Kind;
namespace wire = protect::agent;

constexpr std::size_t kLengthSize = 4;
constexpr std::size_t kKindSize = 4;

template <class Body>
Bytes frame(Kind kind, const Body& body, ByteView rest = {}) {
    Bytes out(kLengthSize);
    out.reserve(kLengthSize + 64 + rest.size());
    rpc::XdrWriter writer(out);
    writer.i32(static_cast<std::int32_t>(kind));
    wire::write(writer, body);
    out.insert(out.end(), rest.begin(), rest.end());
    store<ByteOrder::big>(out.data(), static_cast<std::uint32_t>(out.size() - kLengthSize));
    return out;
}

Bytes frame(Kind kind, ByteView rest) {
    Bytes out(kLengthSize + kKindSize);
    out.reserve(out.size() + rest.size());
    out.insert(out.end(), rest.begin(), rest.end());
    store<ByteOrder::big>(out.data(), static_cast<std::uint32_t>(kKindSize + rest.size()));
    store<ByteOrder::big>(out.data() + kLengthSize, static_cast<std::uint32_t>(kind));
    return out;
}

// The fixed head of a body; `rest` is what follows it, where something may.
template <class Body>
Result<Body> parse(ByteView bytes, std::size_t size, std::string_view name,
                   ByteView* rest = nullptr) {
    if (bytes.size() < size || (rest == nullptr && bytes.size() != size)) {
        return fail(ErrorCode::protocol, "agent link: a '{}' of {} bytes (its head has {})", name,
                    bytes.size(), size);
    }
    rpc::XdrReader reader(bytes.first(size));
    Body body;
    wire::read(reader, body);
    TRY(reader.finish(name));
    if (rest != nullptr) *rest = bytes.subspan(size);
    return body;
}

bool agent_says(Kind kind) {
    return kind != Kind::welcome && kind != Kind::word && kind != Kind::taken &&
           kind != Kind::given_up && kind != Kind::resumed && kind != Kind::asks &&
           kind != Kind::paces;
}
bool standby_says(Kind kind) {
    return kind == Kind::welcome || kind == Kind::word || kind == Kind::frames ||
           kind == Kind::taken || kind == Kind::given_up || kind == Kind::closing ||
           kind == Kind::resumed || kind == Kind::asks || kind == Kind::paces;
}

Result<std::uint32_t> device_within(std::uint32_t number, std::size_t most, std::string_view what) {
    if (number < most) return number;
    return fail(ErrorCode::limit_exceeded, "agent link: {} {} (a VM has at most {})", what, number,
                most);
}

Result<AgentKey> parse_hello(ByteView body) {
    const auto hello = TRY(parse<wire::Hello>(body, 20, "hello"));
    if (hello.spoken == wire::kVersion) return hello.key;
    return fail(ErrorCode::protocol,
                "agent link: the peer speaks version {}, this program {}: install the same release "
                "on both hosts",
                hello.spoken, wire::kVersion);
}

Result<> parse_body(Kind kind, ByteView body, AgentLink::Message& message) {
    switch (kind) {
        case Kind::hello: message.key = TRY(parse_hello(body)); return {};
        case Kind::stream: message.bytes = body; return {};
        case Kind::frames: {
            const auto head = TRY(parse<wire::Card>(body, 4, "frames", &message.bytes));
            message.device = TRY(device_within(head.card, wire::kCardsMax, "card"));
            return {};
        }
        case Kind::write: {
            const auto head = TRY(parse<wire::Write>(body, 12, "write", &message.bytes));
            message.device = TRY(device_within(head.disk, wire::kDisksMax, "disk"));
            message.offset = head.offset;
            message.length = message.bytes.size();
            return {};
        }
        case Kind::zero: {
            const auto zero = TRY(parse<wire::Zero>(body, 20, "zero"));
            message.device = TRY(device_within(zero.disk, wire::kDisksMax, "disk"));
            message.offset = zero.offset;
            message.length = zero.length;
            return {};
        }
        case Kind::input: {
            const auto input = TRY(parse<wire::Input>(body, 16, "input"));
            message.device = TRY(device_within(input.card, wire::kCardsMax, "card"));
            message.length = input.read;
            message.waits = input.waits != 0;
            return {};
        }
        case Kind::word: {
            const auto word = TRY(parse<wire::Word>(body, 4, "word"));
            if (word.message >= kColoMessages) {
                return fail(ErrorCode::protocol, "agent link: unknown checkpoint message {}",
                            word.message);
            }
            message.word = static_cast<ColoMessage>(word.message);
            return {};
        }
        case Kind::closing:
            if (body.size() <= wire::kReasonMax) {
                message.bytes = body;
                return {};
            }
            return fail(ErrorCode::limit_exceeded,
                        "agent link: a reason of {} bytes (at most {}) for closing it", body.size(),
                        static_cast<std::size_t>(wire::kReasonMax));
        case Kind::welcome:
        case Kind::dead:
        case Kind::ends:
        case Kind::taken:
        case Kind::given_up:
        case Kind::yields:
        case Kind::pauses:
        case Kind::resumes:
        case Kind::resumed:
        case Kind::asks:
        case Kind::paces:
            if (body.empty()) return {};
            return fail(ErrorCode::protocol, "agent link: a '{}' of {} bytes (it has none)",
                        wire::name_of(kind), body.size());
    }
    return fail(ErrorCode::protocol, "agent link: unknown kind {}", static_cast<int>(kind));
}

}  // namespace

Result<AgentKey> parse_agent_key(std::string_view text) {
    AgentKey key{};
    const auto digit = [](char letter) -> int {
        if (letter >= '0' && letter <= '9') return letter - '0';
        if (letter >= 'a' && letter <= 'f') return letter - 'a' + 10;
        return -1;
    };
    if (text.size() != 2 * key.size()) {
        return fail(ErrorCode::invalid_argument, "a key has {} hexadecimal digits, this one {}",
                    2 * key.size(), text.size());
    }
    for (std::size_t at = 0; at < key.size(); ++at) {
        const int high = digit(text[2 * at]);
        const int low = digit(text[2 * at + 1]);
        if (high < 0 || low < 0) {
            return fail(ErrorCode::invalid_argument,
                        "a key has lower-case hexadecimal digits only");
        }
        key[at] = static_cast<std::uint8_t>(high * 16 + low);
    }
    return key;
}

Bytes AgentLink::hello(const AgentKey& key) {
    return frame(Kind::hello, wire::Hello{static_cast<std::uint32_t>(wire::kVersion), key});
}
Bytes AgentLink::tell(Kind kind) {
    return frame(kind, ByteView());
}
Bytes AgentLink::stream(ByteView bytes) {
    return frame(Kind::stream, bytes);
}
Bytes AgentLink::frames(std::size_t card, ByteView frames) {
    return frame(Kind::frames, wire::Card{static_cast<std::uint32_t>(card)}, frames);
}
Bytes AgentLink::write(std::size_t disk, std::uint64_t offset, ByteView data) {
    return frame(Kind::write, wire::Write{static_cast<std::uint32_t>(disk), offset}, data);
}
Bytes AgentLink::zero(std::size_t disk, std::uint64_t offset, std::uint64_t length) {
    return frame(Kind::zero, wire::Zero{static_cast<std::uint32_t>(disk), offset, length});
}
Bytes AgentLink::closing(std::string_view reason) {
    return frame(Kind::closing, as_bytes(reason.substr(0, wire::kReasonMax)));
}
Bytes AgentLink::input(std::size_t card, std::uint64_t read, bool waits) {
    return frame(Kind::input, wire::Input{static_cast<std::uint32_t>(card), read, waits ? 1U : 0U});
}
Bytes AgentLink::word(ColoMessage message) {
    return frame(Kind::word, wire::Word{static_cast<std::uint32_t>(message)});
}

// It goes to a log: what is no printed ASCII is another's trick, or cut.
std::string AgentLink::reason_of(const Message& closing) {
    std::string text(as_text(closing.bytes));
    for (char& letter : text)
        if (letter < ' ' || letter > '~') letter = '?';
    return text;
}

Result<> AgentLink::check_order(Kind kind) {
    const bool from_agent = own_ == End::standby;
    if (!wire::is_known(kind) || (from_agent ? !agent_says(kind) : !standby_says(kind))) {
        return fail(ErrorCode::protocol, "agent link: kind {} came from the wrong end",
                    static_cast<int>(kind));
    }
    if (kind == Kind::closing) return {};
    const Kind greeting = from_agent ? Kind::hello : Kind::welcome;
    if (greeted_ == (kind == greeting)) {
        return fail(ErrorCode::protocol, "agent link: '{}' came {} the greeting",
                    wire::name_of(kind), greeted_ ? "after" : "before");
    }
    greeted_ = true;
    return {};
}

Result<std::size_t> AgentLink::next(ByteView input, Message& message) {
    if (input.size() < kLengthSize) return std::size_t{0};
    const std::size_t length = load<ByteOrder::big, std::uint32_t>(input.data());
    if (length < kKindSize || length > wire::kFrameMax) {
        return fail(ErrorCode::limit_exceeded, "agent link: a frame of {} bytes ({} to {})", length,
                    kKindSize, static_cast<std::size_t>(wire::kFrameMax));
    }
    if (input.size() < kLengthSize + length) return std::size_t{0};
    message = {};
    message.kind =
        static_cast<Kind>(load<ByteOrder::big, std::uint32_t>(input.data() + kLengthSize));
    TRY(check_order(message.kind));
    TRY(parse_body(message.kind, input.subspan(kLengthSize + kKindSize, length - kKindSize),
                   message));
    return kLengthSize + length;
}

}  // namespace segue
