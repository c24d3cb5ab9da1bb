// SPDX-License-Identifier: LGPL-2.1-or-later
// Keyboard, mouse and tablet of one client.
#pragma once

#include "spice/server/channel.h"
#include "spice/wire/inputs.schema.h"

namespace segue::spice::server {

// Where the input of all clients goes: the devices of the machine.
class InputSink {
  public:
    virtual ~InputSink() = default;
    virtual void scancode(std::uint8_t byte) = 0;
    virtual std::uint8_t leds() = 0;
    virtual void mouse_motion(int dx, int dy, int dz, std::uint32_t buttons) = 0;
    virtual void mouse_buttons(std::uint32_t buttons) = 0;
    virtual void tablet_position(int x, int y, std::uint32_t buttons, std::uint8_t display) = 0;
    virtual void tablet_wheel(int motion, std::uint32_t buttons) = 0;
    virtual void tablet_buttons(std::uint32_t buttons) = 0;
    // The pointer is reported in absolute coordinates (SPICE's "client mouse").
    virtual bool absolute_pointer() const = 0;
};

class InputsChannel final : public Channel {
  public:
    InputsChannel(const ChannelSetup& setup, ChannelOutput& output, InputSink& sink)
        : Channel(setup, output), sink_(sink) {}

    void start() override;
    void leds_changed(std::uint8_t leds);

  private:
    struct Handler;
    Result<> handle(std::uint16_t number, const wire::SharedBytes& body) override;
    std::uint32_t migrate_flags() const override;
    Bytes migrate_data() override;
    Result<> restore(const wire::SharedBytes& blob) override;

    void motion_done();
    void push_code(std::uint32_t code);
    void turn_leds(std::uint8_t wanted);
    void wheel_or_buttons(wire::inputs::MouseButton button, std::uint32_t buttons);

    InputSink& sink_;
    // Motion messages received and not yet acknowledged.
    unsigned motions_ = 0;
};

}  // namespace segue::spice::server
