// SPDX-License-Identifier: LGPL-2.1-or-later
// Keyboard and mouse. In a read-only session nothing is ever sent.
#pragma once

#include "spice/client/channel.h"
#include "spice/wire/inputs.schema.h"

namespace segue::spice::client {

class InputsChannel final : public Channel {
  public:
    using OnModifiers = std::function<void(wire::inputs::KeyboardModifiers)>;

    InputsChannel(ChannelKey key, ChannelHost& host, bool read_only, OnModifiers on_modifiers)
        : Channel(key, host), read_only_(read_only), on_modifiers_(std::move(on_modifiers)) {}

    // XT scan codes; extended ones have 0xe0 in the low byte.
    void key(std::uint32_t scan_code, bool pressed);
    void set_modifiers(wire::inputs::KeyboardModifiers modifiers);
    // Relative movement (server mode).
    void motion(std::int32_t dx, std::int32_t dy);
    // Absolute position on a display (client mode).
    void position(std::uint32_t x, std::uint32_t y, std::uint8_t display_id);
    void button(wire::inputs::MouseButton button, bool pressed);

  private:
    Result<> handle(const wire::IncomingMessage& message) override;
    void on_up(const wire::Capabilities& server) override;
    void on_reset(ResetReason reason) override;
    Result<> on(const wire::inputs::Init& message);
    Result<> on(const wire::inputs::KeyModifiers& message);
    Result<> on(const wire::inputs::MouseMotionAck& message);
    // `now`: also when acknowledgements are due.
    void send_movement(bool now = false);

    // More movements than this without an acknowledgement are summed up.
    static constexpr std::uint32_t kMaxUnacknowledged = 2 * wire::inputs::kMotionAckBunch;

    // Keys of which a release may be under way when a server goes.
    static constexpr std::size_t kMaxReleased = 16;

    const bool read_only_;
    OnModifiers on_modifiers_;
    std::deque<std::uint32_t> released_;  // the latest, oldest first
    wire::inputs::MouseButtonMask buttons_{};
    std::uint32_t unacknowledged_ = 0;
    // Movement that waits for an acknowledgement.
    std::int64_t waiting_dx_ = 0, waiting_dy_ = 0;
    std::optional<wire::inputs::MousePosition> waiting_position_;
};

}  // namespace segue::spice::client
