// SPDX-License-Identifier: LGPL-2.1-or-later
// The pointer of a display, for one client. Only the newest state is ever sent: there is no queue.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>

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

    // What its client was told goes beside it, and what it brings is waited for. Before start().
    void carry_state() { carries_ = true; }
    std::optional<Bytes> carried_state(bool freeze) override;
    void thaw() override;

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
    // Through the client goes nothing: it keeps what it has, so it must have the newest.
    void before_migrate() override;
    Result<> restore(const wire::SharedBytes& state) override;
    bool is_shown() const;
    bool is_in_place() const;
    void say_reset();
    void send_init();
    wire::cursor::Cursor cursor_on_wire();
    wire::cursor::CursorFlags use_cache(std::uint64_t unique);
    void send_changes(bool has_room);
    void told_all();
    void told_place();

    const std::shared_ptr<const CursorState> state_;
    const OnGone on_gone_;
    bool carries_ = false;
    bool frozen_ = false;
    // What the client has been told. The shape is one of ours, or the other server's, of which
    // only the digest is known; 0: nothing was shown.
    CursorState told_;
    std::uint64_t brought_shape_ = 0;
    bool brought_place_ = false;
    // What the client has not been told of yet.
    bool shape_changed_ = false;
    bool place_changed_ = false;
    bool trail_changed_ = false;
    bool was_reset_ = false;
    bool was_reset_meanwhile_ = false;  // while nothing was said
    std::deque<std::uint64_t> cached_;  // the latest used last
};

}  // namespace segue::spice::server
