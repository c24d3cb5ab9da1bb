// SPDX-License-Identifier: LGPL-2.1-or-later
// Cursor commands of a guest.
#pragma once

#include <memory>
#include <optional>

#include "base/result.h"
#include "spice/server/display/guest/guest_memory.h"

namespace segue::spice::server {

// A cursor's picture as it goes over the wire (RedCursor of the protocol): shared by all clients.
struct CursorShape {
    std::uint64_t unique = 0;
    std::uint16_t type = 0;  // SPICE_CURSOR_TYPE_*
    std::uint16_t width = 0;
    std::uint16_t height = 0;
    std::uint16_t hot_spot_x = 0;
    std::uint16_t hot_spot_y = 0;
    Bytes data;
};

struct CursorCommand {
    enum class Kind : std::uint8_t { set, move, hide, trail };
    Kind kind = Kind::hide;
    std::int16_t x = 0;
    std::int16_t y = 0;
    bool visible = false;
    std::uint16_t trail_length = 0;
    std::uint16_t trail_frequency = 0;
    std::shared_ptr<const CursorShape> shape;  // set: null when the guest named none
};

// `address` names a QXLCursorCmd.
Result<CursorCommand> read_cursor_command(const GuestMemory& memory, QXLPHYSICAL address);

}  // namespace segue::spice::server
