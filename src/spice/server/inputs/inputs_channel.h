// SPDX-License-Identifier: LGPL-2.1-or-later
// Keyboard, mouse and tablet of one client.
#pragma once

#include "base/loop.h"
#include "spice/server/channel.h"
#include "spice/server/inputs/pressed_keys.h"
#include "spice/server/migration/extension.schema.h"
#include "spice/wire/inputs.schema.h"

namespace segue::spice::server {

enum class MachineState : std::uint8_t {
    runs,
    stands,  // what is pushed now is lost, as the user expects of a machine that is paused
    leaves,  // it stands still for a move: what is pushed now would be lost
};

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
    virtual MachineState machine() const = 0;
    virtual Instant now() const = 0;
};

class InputsChannel final : public Channel {
  public:
    // What comes while the machine is between two hosts goes with it: so many messages, and not
    // when they have become old meanwhile.
    static constexpr std::size_t kMostKept = wire::extension::kKeptInputs;
    static constexpr Duration kKeepFor = 10s;

    InputsChannel(const ChannelSetup& setup, ChannelOutput& output, InputSink& sink)
        : Channel(setup, output), sink_(sink) {}
    // Nobody else would let go of what this client holds down.
    ~InputsChannel() override;

    void start() override;
    void leds_changed(std::uint8_t leds);
    // The machine runs here (again).
    void machine_runs();

  private:
    struct Handler;
    Result<> handle(std::uint16_t number, const wire::SharedBytes& body) override;
    std::uint32_t migrate_flags() const override;
    Bytes migrate_data() override;
    // What is typed goes in at any time, and the client waits for our acknowledgements.
    bool shows_guest(std::uint16_t) const override { return false; }
    Result<> restore(const wire::SharedBytes& blob) override;

    bool is_between_hosts() const;
    Result<> keep(std::uint16_t number, const wire::SharedBytes& body);
    Result<> replay();
    void push(std::uint8_t byte);
    void motion_done();
    void push_code(std::uint32_t code);
    void turn_leds(std::uint8_t wanted);
    void wheel_or_buttons(wire::inputs::MouseButton button, std::uint32_t buttons);

    InputSink& sink_;
    // Motion messages received and not yet acknowledged.
    unsigned motions_ = 0;
    PressedKeys pressed_;
    bool button_is_down_ = false;
    bool has_arrived_ = false;  // of a machine that came from another host: it has run here
    std::vector<wire::extension::KeptInput> kept_;
    Instant kept_since_{};
};

}  // namespace segue::spice::server
