// SPDX-License-Identifier: LGPL-2.1-or-later
// The pointer of a display, for one client. Only the newest state is ever sent: there is no queue.
#pragma once

#include <functional>
#include <memory>

#include "spice/server/channel.h"
#include "spice/server/display/guest/guest_display.h"
#include "spice/wire/cursor.schema.h"

namespace segue::spice::server {

class CursorChannel final : public Channel {
  public:
    // `on_gone` is called at the end of its life.
    using OnGone = std::function<void(CursorChannel& gone)>;
    CursorChannel(const ChannelSetup& setup, ChannelOutput& output,
                  std::shared_ptr<const CursorState> state, OnGone on_gone = {});
    ~CursorChannel() override;

    void start() override;
    void on_room() override { pump(); }

    void changed(const CursorCommand& command);
    void reset();
    // Sends what changed, when there is room.
    void pump();

  private:
    Result<> handle(std::uint16_t number, const wire::SharedBytes& body) override;
    // No state is carried: the client keeps what it has, so it must have the newest.
    void before_migrate() override;
    wire::cursor::Cursor cursor_on_wire() const;
    void send_changes(bool has_room);

    const std::shared_ptr<const CursorState> state_;
    const OnGone on_gone_;
    // What the client has not been told of yet.
    bool shape_changed_ = false;
    bool place_changed_ = false;
    bool trail_changed_ = false;
};

}  // namespace segue::spice::server
