// SPDX-License-Identifier: LGPL-2.1-or-later
// The agent's side of its port: chunks (VDIChunkHeader) of the agent's stream, cut into pieces that
// fit into one message to a client. It does no I/O, and its state moves with the machine.
#pragma once

#include <spice/vd_agent.h>

#include <array>
#include <optional>

#include "base/result.h"
#include "spice/wire/migration.schema.h"

namespace segue::spice::server {

class AgentReader {
  public:
    struct Piece {
        std::uint32_t port = 0;
        Bytes bytes;
    };

    // Where the next bytes from the device go; never empty.
    std::span<std::uint8_t> room();
    // So many have come; a piece when it is whole.
    Result<std::optional<Piece>> filled(std::size_t size);
    // Ends the piece under way where it is, if more than `least` bytes of it have come.
    std::optional<Piece> cut(std::size_t least);

    // `in_message`: the filter behind us is inside a message.
    void capture(wire::migration::Main& state) const;
    void restore(const wire::migration::Main& state);

  private:
    void begin_piece();
    Piece take_piece();

    std::array<std::uint8_t, sizeof(VDIChunkHeader)> header_{};
    std::size_t header_have_ = 0;
    std::uint32_t port_ = 0;
    std::uint32_t chunk_left_ = 0;  // of the chunk, behind the piece under way
    Bytes piece_;                   // its whole size
    std::size_t piece_have_ = 0;
};

}  // namespace segue::spice::server
