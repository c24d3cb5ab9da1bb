// SPDX-License-Identifier: LGPL-2.1-or-later
// Keys and mouse of the user on their way to the guest.
#pragma once

#include <SDL.h>

#include <functional>
#include <optional>
#include <set>

#include "spice/client/inputs_channel.h"
#include "viewer/hotkeys.h"
#include "viewer/options.h"
#include "viewer/window/display_window.h"

namespace segue::viewer {

class Input {
  public:
    // The channel may come and go; null: nothing is sent.
    using Channel = std::function<spice::client::InputsChannel*()>;

    // The options must outlive this.
    Input(Channel channel, const Options& options);

    // What the viewer is to do, if it was a hotkey.
    std::optional<Action> on_key(const SDL_KeyboardEvent& event);
    void on_motion(const SDL_MouseMotionEvent& event, const DisplayWindow& window);
    void on_button(const SDL_MouseButtonEvent& event, DisplayWindow& window);
    void on_wheel(int steps);

    void on_focus(DisplayWindow& window);
    // A key that is let go in another window must not stay down in the guest.
    void on_focus_lost();

    // To be called now and then: presses that wait for their release go when their time is over.
    void tick();

    // Relative movements need the pointer for themselves.
    void set_absolute(bool absolute);
    bool is_absolute() const { return absolute_; }
    bool is_grabbed() const { return grabbed_; }
    void release();
    // The guest's own lights.
    void set_guest_modifiers(spice::wire::inputs::KeyboardModifiers modifiers) {
        guest_modifiers_ = modifiers;
    }
    void send_secure_attention();

  private:
    void send(std::uint32_t code, bool pressed);
    void send_remapped(const std::vector<std::int32_t>& keys, const SDL_KeyboardEvent& event);
    void send_delayed();
    void grab(DisplayWindow& window);

    Channel channel_;
    const Hotkeys& hotkeys_;
    const bool read_only_;
    const bool may_grab_;
    const KeyRemap& remap_;
    const std::uint32_t delay_ms_;
    std::set<std::uint32_t> pressed_;
    // Pressed by the user, and not yet for the guest, which must not repeat it for the line's sake.
    std::optional<std::uint32_t> delayed_;
    std::uint64_t delayed_until_ms_ = 0;
    // Modifiers that were pressed, and nothing else since: a chord of modifiers alone.
    std::optional<KeyChord> chord_;
    spice::wire::inputs::KeyboardModifiers guest_modifiers_{};
    bool absolute_ = true;
    bool grabbed_ = false;
};

}  // namespace segue::viewer
