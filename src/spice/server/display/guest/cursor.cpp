// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/guest/cursor.h"

#include <cstddef>

namespace segue::spice::server {
namespace {

constexpr std::size_t kMostCursorBytes = 1u << 20;  // 512x512 at 32 bits

Result<std::shared_ptr<const CursorShape>> read_shape(const GuestMemory& memory,
                                                      QXLPHYSICAL address) {
    const auto header = TRY(memory.read<QXLCursor>(address));
    auto shape = std::make_shared<CursorShape>();
    shape->unique = header.header.unique;
    shape->type = header.header.type;
    shape->width = header.header.width;
    shape->height = header.header.height;
    shape->hot_spot_x = header.header.hot_spot_x;
    shape->hot_spot_y = header.header.hot_spot_y;
    shape->data = TRY(memory.read_chunks(address + offsetof(QXLCursor, chunk), kMostCursorBytes));
    if (header.data_size < shape->data.size()) shape->data.resize(header.data_size);
    return std::shared_ptr<const CursorShape>(std::move(shape));
}

}  // namespace

Result<CursorCommand> read_cursor_command(const GuestMemory& memory, QXLPHYSICAL address) {
    const auto guest = TRY(memory.read<QXLCursorCmd>(address));
    CursorCommand command;
    switch (guest.type) {
        case QXL_CURSOR_SET:
            command.kind = CursorCommand::Kind::set;
            command.x = guest.u.set.position.x;
            command.y = guest.u.set.position.y;
            command.visible = guest.u.set.visible != 0;
            if (guest.u.set.shape != 0) command.shape = TRY(read_shape(memory, guest.u.set.shape));
            return command;
        case QXL_CURSOR_MOVE:
            command.kind = CursorCommand::Kind::move;
            command.x = guest.u.position.x;
            command.y = guest.u.position.y;
            return command;
        case QXL_CURSOR_HIDE: command.kind = CursorCommand::Kind::hide; return command;
        case QXL_CURSOR_TRAIL:
            command.kind = CursorCommand::Kind::trail;
            command.trail_length = guest.u.trail.length;
            command.trail_frequency = guest.u.trail.frequency;
            return command;
        default:
            return fail(ErrorCode::protocol, "guest cursor: command {} does not exist",
                        +guest.type);
    }
}

}  // namespace segue::spice::server
