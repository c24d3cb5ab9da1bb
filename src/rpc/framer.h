// SPDX-License-Identifier: LGPL-2.1-or-later
// Cuts a byte stream into messages. No I/O; nothing is copied while whole messages arrive.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/result.h"
#include "rpc/header.schema.h"

namespace segue::rpc {

struct Packet {
    Header header;
    ByteView payload;               // valid until the next call of the framer
    std::uint32_t descriptors = 0;  // how many came with it
};

class Framer {
  public:
    Framer();
    enum class Found { packet, nothing };

    // Gives the framer what arrived. Call next() until it finds nothing, then keep_rest(); the view
    // must stay valid until then.
    void feed(ByteView bytes);
    // A message, nothing (more bytes are needed), or an error: a length below 28 or above the
    // limit, an unknown type or status, too many descriptors. After an error the stream has no
    // meaning.
    Result<Found> next(Packet& packet);
    void keep_rest();

    std::size_t kept() const { return kept_.size(); }
    // The longest message that is taken, its length included; at first the protocol's own limit.
    void set_limit(std::size_t bytes) { limit_ = bytes; }

  private:
    Result<std::uint32_t> read_length(ByteView bytes) const;

    std::size_t limit_;
    Bytes kept_;     // the beginning of a message whose end has not come
    ByteView view_;  // what next() reads: kept_, or the caller's bytes
    std::size_t position_ = 0;
};

}  // namespace segue::rpc
