// SPDX-License-Identifier: LGPL-2.1-or-later
// SPICE's encoding: little endian, packed, with u32 offsets from the start of the message body to
// data that stands behind it. The generated `read` and `write` functions of each struct call this;
// other code needs only the last section:
//
//   Result<display::DrawCopy> copy = parse<display::DrawCopy>(body);
//   EncodedMessage message = encode_from_server(display::Mark{});
//
// A payload in a parsed message refers to `body` and shares its owner: nothing is copied.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <type_traits>
#include <variant>

#include "base/bytes.h"
#include "base/result.h"
#include "spice/wire/shared_bytes.h"

namespace segue::spice::wire {

// --- Flag sets -----------------------------------------------------------------------------------

// Specialised by the generator for each `flags` declaration.
template <class T>
inline constexpr bool is_flag_set = false;
template <class T>
concept FlagSet = is_flag_set<T>;

template <FlagSet T>
constexpr T operator|(T one, T other) {
    using Number = std::underlying_type_t<T>;
    return static_cast<T>(static_cast<Number>(one) | static_cast<Number>(other));
}
template <FlagSet T>
constexpr T operator&(T one, T other) {
    using Number = std::underlying_type_t<T>;
    return static_cast<T>(static_cast<Number>(one) & static_cast<Number>(other));
}
template <FlagSet T>
constexpr T& operator|=(T& one, T other) {
    return one = one | other;
}
template <FlagSet T>
constexpr T without(T one, T other) {
    using Number = std::underlying_type_t<T>;
    return static_cast<T>(static_cast<Number>(one) &
                          static_cast<Number>(~static_cast<Number>(other)));
}
template <FlagSet T>
constexpr bool has(T flags, T flag) {
    return (flags & flag) == flag;
}

// Bytes of a picture whose rows are padded to whole bytes; cannot overflow for 32-bit arguments
// with bits <= 64.
constexpr std::uint64_t image_size(unsigned bits, std::uint64_t width, std::uint64_t height) {
    return (bits * width + 7) / 8 * height;
}

// --- Reading -------------------------------------------------------------------------------------

// The first thing that was wrong with a body, kept until the end of the read.
struct ReadFailure {
    enum class Kind { none, truncated, above_limit, unknown_value, bad_offset, bad_constant, text };
    Kind kind = Kind::none;
    const char* field = "";
    std::uint64_t value = 0;
    std::uint64_t limit = 0;

    Error error(std::string_view message, std::size_t size) const;
};

struct ReadState {
    SharedBytes body;
    ReadFailure failure;
};

// Reads a struct's fields in order. After the first failure everything reads as zero or empty.
class BodyReader {
  public:
    explicit BodyReader(ReadState& state, std::size_t offset = 0)
        : state_(&state), offset_(offset), reader_(state.body.view().subspan(offset)) {}

    bool ok() const { return state_->failure.kind == ReadFailure::Kind::none; }
    std::size_t remaining() const { return ok() ? reader_.remaining() : 0; }

    template <class T>
    void scalar(const char* field, T& value) {
        if constexpr (std::is_same_v<T, bool>) {
            value = number<std::uint8_t>(field) != 0;
        } else if constexpr (std::is_enum_v<T>) {
            value = static_cast<T>(number<std::underlying_type_t<T>>(field));
            if (!is_known(value)) fail(ReadFailure::Kind::unknown_value, field, +raw(value));
        } else {
            value = number<T>(field);
        }
    }
    template <class T>
    void scalar(const char* field, T& value, std::uint64_t maximum) {
        scalar(field, value);
        check(field, static_cast<std::uint64_t>(value), maximum);
    }
    // A field that has only one legal value.
    template <class T>
    void constant(const char* field, T expected) {
        const T value = number<T>(field);
        if (ok() && value != expected) {
            fail(ReadFailure::Kind::bad_constant, field, static_cast<std::uint64_t>(value),
                 static_cast<std::uint64_t>(expected));
        }
    }
    // A count or size in front of data: 0 if it is above the limit.
    template <class T>
    std::size_t count(const char* field, std::uint64_t limit) {
        return checked(field, number<T>(field), limit);
    }
    // `value` if it is within the limit and something was left of the message, else 0 (and failed).
    std::size_t checked(const char* field, std::uint64_t value, std::uint64_t limit) {
        return check(field, value, limit) ? static_cast<std::size_t>(value) : 0;
    }

    void bytes(const char* field, std::uint8_t* to, std::size_t size);
    void bytes(const char* field, Bytes& value, std::size_t size);
    void payload(const char* field, Payload& value, std::size_t size);
    void text(const char* field, std::string& value, std::size_t size, bool terminated);

    // `element_size` is the least an element takes on the wire: a count that cannot fit fails
    // before anything is allocated.
    template <class T>
    void array(const char* field, std::vector<T>& values, std::size_t count,
               std::size_t element_size) {
        if (!ok()) return;
        if (count > reader_.remaining() / element_size) {
            return fail(ReadFailure::Kind::truncated, field);
        }
        values.resize(count);
        for (T& value : values)
            element(field, value);
    }
    template <class T, std::size_t kSize>
    void array(const char* field, std::array<T, kSize>& values) {
        for (T& value : values)
            element(field, value);
    }

    // Follows a u32 offset. Nothing comes back for a null offset (a failure unless `optional`).
    std::optional<BodyReader> at_offset(const char* field, bool optional);

    void fail(ReadFailure::Kind kind, const char* field, std::uint64_t value = 0,
              std::uint64_t limit = 0) {
        if (ok()) state_->failure = {kind, field, value, limit};
    }

  private:
    template <class T>
    static auto raw(T value) {
        return static_cast<std::underlying_type_t<T>>(value);
    }
    template <class T>
    T number(const char* field) {
        if (!ok()) return T{};
        const T value = reader_.read<T>();
        if (!reader_.ok()) fail(ReadFailure::Kind::truncated, field);
        return value;
    }
    template <class T>
    void element(const char* field, T& value) {
        if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T>) {
            scalar(field, value);
        } else {
            read(*this, value);
        }
    }
    bool check(const char* field, std::uint64_t value, std::uint64_t limit) {
        if (ok() && value > limit) fail(ReadFailure::Kind::above_limit, field, value, limit);
        return ok();
    }
    ByteView view(const char* field, std::size_t size);

    ReadState* state_;
    std::size_t offset_;
    LittleReader reader_;
};

// --- Writing -------------------------------------------------------------------------------------

// A message ready for a MessageWriter (framing.h), which puts the header in front. Copying it
// copies the fixed part and shares the payload.
struct EncodedMessage {
    std::uint16_t number = 0;
    // Body bytes that are ours, behind kHeaderRoom bytes for a header.
    Bytes head;
    struct Insertion {
        std::size_t at;  // index in `head` before which the payload stands
        Payload payload;
    };
    std::vector<Insertion> insertions;
    std::size_t body_size = 0;
    // The field that broke its limit, if any: such a message is never sent.
    const char* broken_field = nullptr;

    static constexpr std::size_t kHeaderRoom = 18;

    // The body alone, joined: for blobs, tests and fuzzers.
    Bytes body() const;
};

class BodyWriter {
  public:
    BodyWriter() {
        // Most messages of the hot path are smaller: one allocation each.
        constexpr std::size_t kUsualSize = 128;
        writer_.reserve(kUsualSize);
        writer_.zeros(EncodedMessage::kHeaderRoom);
    }

    template <class T>
    void scalar(T value) {
        if constexpr (std::is_same_v<T, bool>) {
            writer_.u8(value ? 1 : 0);
        } else if constexpr (std::is_enum_v<T>) {
            writer_.write(static_cast<std::underlying_type_t<T>>(value));
        } else {
            writer_.write(value);
        }
    }
    template <class T>
    void scalar(const char* field, T value, std::uint64_t maximum) {
        check(field, static_cast<std::uint64_t>(value), maximum);
        scalar(value);
    }
    template <class T>
    void count(const char* field, std::uint64_t value, std::uint64_t limit) {
        check(field, value, limit);
        scalar(static_cast<T>(value));
    }
    void check(const char* field, std::uint64_t value, std::uint64_t limit) {
        if (value > limit) fail(field);
    }
    // Two places of one message that say the same: a count and a list, a type and a union.
    void agree(const char* field, bool agrees) {
        if (!agrees) fail(field);
    }
    void bytes(ByteView view) { writer_.bytes(view); }
    void payload(const Payload& payload);
    void text(const std::string& value, bool terminated);

    template <class T>
    void array(const T& values) {
        for (const auto& value : values) {
            if constexpr (std::is_arithmetic_v<std::decay_t<decltype(value)>> ||
                          std::is_enum_v<std::decay_t<decltype(value)>>) {
                scalar(value);
            } else {
                write(*this, value);
            }
        }
    }

    // Writes a u32 offset; `put(writer, object)` is called later, where the offset points.
    // The object must live until finish().
    using Put = void (*)(BodyWriter& writer, const void* object);
    void offset(const void* object, Put put);
    void null_offset() { writer_.u32(0); }

    EncodedMessage finish(std::uint16_t number);

  private:
    struct Deferred {
        std::size_t at;
        const void* object;
        Put put;
    };
    void fail(const char* field) {
        if (!message_.broken_field) message_.broken_field = field;
    }

    LittleWriter writer_;
    std::size_t payload_size_ = 0;
    std::vector<Deferred> deferred_;
    EncodedMessage message_;
};

// --- What other code calls -----------------------------------------------------------------------

template <class Message>
Result<Message> parse(const SharedBytes& body) {
    Message message;
    ReadState state{body, {}};
    BodyReader reader(state);
    read(reader, message);
    if (!reader.ok()) return tl::unexpected(state.failure.error(Message::kName, body.size()));
    return message;
}
template <class Message>
EncodedMessage encode(std::uint16_t number, const Message& message) {
    BodyWriter writer;
    write(writer, message);
    return writer.finish(number);
}
template <class Message>
EncodedMessage encode_from_server(const Message& message) {
    return encode(Message::kFromServer, message);
}
template <class Message>
EncodedMessage encode_from_client(const Message& message) {
    return encode(Message::kFromClient, message);
}

// The error of a dispatch function for a number that its table does not have.
tl::unexpected<Error> unknown_message(std::string_view protocol, std::string_view sender,
                                      std::uint16_t number);

}  // namespace segue::spice::wire
