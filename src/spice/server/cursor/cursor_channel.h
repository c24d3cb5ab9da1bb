// SPDX-License-Identifier: LGPL-2.1-or-later
// The pointer of a display, for one client. Only the newest state is ever sent: there is no queue.
#pragma once

#include "spice/server/channel.h"
#include "spice/server/display/guest/guest_display.h"
#include "spice/wire/cursor.schema.h"

namespace segue::spice::server {

class CursorChannel final : public Channel {
  public:
    CursorChannel(const ChannelSetup& setup, ChannelOutput& output, const GuestDisplay& guest);

    void start() override;
    void on_room() override { pump(); }

    void changed(const CursorCommand& command);
    void reset();
    // Sends what changed, when there is room.
    void pump();

  private:
    Result<> handle(std::uint16_t number, const wire::SharedBytes& body) override;
    wire::cursor::Cursor cursor_on_wire() const;

    const GuestDisplay& guest_;
    // What the client has not been told of yet.
    bool shape_changed_ = false;
    bool place_changed_ = false;
    bool trail_changed_ = false;
};

}  // namespace segue::spice::server
