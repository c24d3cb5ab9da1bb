// SPDX-License-Identifier: LGPL-2.1-or-later
// The pointer of a display, for one client. Only the newest state is ever sent: there is no queue.
#pragma once

#include <deque>
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

    // Shapes that the guest names are kept by the client, the latest used of them; so many as
    // stock's server lets it keep.
    static constexpr std::size_t kMostCached = 256;

    void changed(const CursorCommand& command);
    // The client takes nothing but an INIT behind that.
    void reset();
    // Sends what changed, when there is room.
    void pump();

  private:
    Result<> handle(std::uint16_t number, const wire::SharedBytes& body) override;
    // No state is carried: the client keeps what it has, so it must have the newest.
    void before_migrate() override;
    void send_init();
    wire::cursor::Cursor cursor_on_wire();
    wire::cursor::CursorFlags use_cache(std::uint64_t unique);
    void send_changes(bool has_room);

    const std::shared_ptr<const CursorState> state_;
    const OnGone on_gone_;
    // What the client has not been told of yet.
    bool shape_changed_ = false;
    bool place_changed_ = false;
    bool trail_changed_ = false;
    bool was_reset_ = false;
    std::deque<std::uint64_t> cached_;  // the latest used last
};

}  // namespace segue::spice::server
