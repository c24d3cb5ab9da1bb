// SPDX-License-Identifier: LGPL-2.1-or-later
// The agent's messages, put together from the chunks in which the main channel carries them. What
// the agent says is the guest's word and believed as little as a stranger's.
#pragma once

#include <functional>

#include "spice/wire/agent.schema.h"

namespace segue::spice::client {

class AgentStream {
  public:
    struct Message {
        std::uint32_t type = 0;
        wire::SharedBytes body;
    };
    using OnMessage = std::function<void(const Message&)>;

    // Of a message of this type. Longer ones are skipped; memory is taken as bytes arrive.
    static std::size_t limit_of(std::uint32_t type);

    // Calls back for each message that is whole. Errors: protocol for bytes that are no agent's;
    // nothing is understood then until reset().
    Result<> feed(ByteView chunk, const OnMessage& on_message);
    void reset() { *this = {}; }

    // Header and body as they go into the stream.
    static Bytes frame(std::uint32_t type, ByteView body);

    static constexpr std::size_t kHeaderSize = 20;

  private:
    Bytes head_;
    Bytes body_;
    std::uint32_t type_ = 0;
    std::size_t missing_ = 0;  // of the body
    bool in_body_ = false;
    bool skipping_ = false;
};

}  // namespace segue::spice::client
