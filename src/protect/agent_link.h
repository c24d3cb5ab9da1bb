// SPDX-License-Identifier: LGPL-2.1-or-later
// The frames between an agent and a standby, without I/O: written, cut out of a byte stream, and
// judged: each end says only what is its to say, and hello and welcome come first.
#pragma once

#include <array>

#include "base/bytes.h"
#include "base/result.h"
#include "protect/agent_link.schema.h"
#include "qemu/stream_format.h"

namespace segue {

using AgentKey = std::array<std::uint8_t, protect::agent::kKeySize>;

// Text form of a key: 32 hexadecimal digits.
Result<AgentKey> parse_agent_key(std::string_view text);

class AgentLink {
  public:
    using Kind = protect::agent::Kind;
    enum class End { agent, standby };

    struct Message {
        Kind kind = Kind::hello;
        // Stream bytes, frames, the bytes of a write, or a reason; valid as long as the input is.
        ByteView bytes;
        std::uint32_t device = 0;              // the disk of write and zero, the card of frames
        std::uint64_t offset = 0, length = 0;  // write and zero; the length of an input: its bytes
        bool waits = false;                    // input
        AgentKey key{};                        // hello
        ColoMessage word = ColoMessage::checkpoint_ready;
    };

    // `own` is the end that this object stands at.
    explicit AgentLink(End own) : own_(own) {}

    // Frames to send.
    static Bytes hello(const AgentKey& key);
    static Bytes tell(Kind kind);  // the kinds without a body
    static Bytes stream(ByteView bytes);
    static Bytes frames(std::size_t card, ByteView frames);
    static Bytes write(std::size_t disk, std::uint64_t offset, ByteView data);
    static Bytes zero(std::size_t disk, std::uint64_t offset, std::uint64_t length);
    static Bytes input(std::size_t card, std::uint64_t read, bool waits);
    static Bytes word(ColoMessage message);
    // Longer reasons are cut.
    static Bytes closing(std::string_view reason);
    // The text of a closing, fit for a log.
    static std::string reason_of(const Message& closing);

    // Takes one frame from the front of `input`; returns the bytes used, 0 when more are needed.
    // An error (protocol, limit_exceeded) ends the connection.
    Result<std::size_t> next(ByteView input, Message& message);

  private:
    Result<> check_order(Kind kind);

    End own_;
    bool greeted_ = false;
};

}  // namespace segue
