// SPDX-License-Identifier: LGPL-2.1-or-later
// The pointer's shape and place.
#pragma once

#include <map>

#include "spice/canvas/image.h"
#include "spice/client/channel.h"
#include "spice/wire/cursor.schema.h"
#include "spice/wire/memory_budget.h"

namespace segue::spice::client {

struct CursorShape {
    canvas::SharedImage image;  // argb32, premultiplied
    // Pixels that invert what is under them (only two-colour cursors have some), or null: a8.
    canvas::SharedImage inverts;
    std::uint16_t hot_x = 0;
    std::uint16_t hot_y = 0;
    wire::Reservation room;  // of the session's memory
};

struct CursorState {
    bool visible = false;
    std::shared_ptr<const CursorShape> shape;  // null: the guest never set one
    std::int32_t x = 0;
    std::int32_t y = 0;
};

// Errors: protocol for data that are too short for the shape.
Result<CursorShape> decode_cursor(const wire::cursor::CursorHeader& header, ByteView data);

class CursorChannel final : public Channel {
  public:
    using OnChange = std::function<void(const CursorState&)>;

    // `memory`: what shapes are counted in; none: no bound but their number.
    CursorChannel(ChannelKey key, ChannelHost& host, OnChange on_change,
                  std::shared_ptr<wire::MemoryBudget> memory = nullptr)
        : Channel(key, host), on_change_(std::move(on_change)), memory_(std::move(memory)) {}

    const CursorState& state() const { return state_; }

  private:
    Result<> handle(const wire::IncomingMessage& message) override;
    void on_reset(ResetReason reason) override;
    Result<> on(const wire::cursor::Init& message);
    Result<> on(const wire::cursor::Reset& message);
    Result<> on(const wire::cursor::Set& message);
    Result<> on(const wire::cursor::Move& message);
    Result<> on(const wire::cursor::Hide& message);
    Result<> on(const wire::cursor::Trail& message);
    Result<> on(const wire::cursor::InvalOne& message);
    Result<> on(const wire::cursor::InvalAll& message);
    Result<> set_shape(const wire::cursor::Cursor& cursor);

    // Stock servers cache 256 shapes.
    static constexpr std::size_t kMaxCached = 1024;

    OnChange on_change_;
    std::shared_ptr<wire::MemoryBudget> memory_;
    CursorState state_;
    std::map<std::uint64_t, std::shared_ptr<const CursorShape>> cache_;
};

}  // namespace segue::spice::client
