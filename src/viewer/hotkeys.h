// SPDX-License-Identifier: LGPL-2.1-or-later
// Keys that the viewer keeps for itself, in remote-viewer's notation: "shift+f11", "ctrl+alt".
#pragma once

#include <map>
#include <optional>
#include <string>

#include "base/result.h"

namespace segue::viewer {

enum class Action {
    toggle_fullscreen,
    release_cursor,
    zoom_in,
    zoom_out,
    zoom_reset,
    secure_attention,  // Ctrl+Alt+Del to the guest
    toggle_overlay,
    screenshot,
    show_displays,  // windows that were closed come back
    // Cards made of certificates; no keys of their own until the user names some.
    smartcard_insert,
    smartcard_remove,
    usb_device_reset,  // redirected devices: out and in again
};

// Modifiers without a side.
struct KeyChord {
    bool shift = false;
    bool control = false;
    bool alt = false;
    bool super = false;
    std::string key;  // SDL's name in lower case ("f11", "a", "keypad +"); empty: modifiers alone

    friend bool operator==(const KeyChord&, const KeyChord&) = default;
    // For people: "Shift+F11".
    std::string text() const;
};

class Hotkeys {
  public:
    Hotkeys();

    // "release-cursor=shift+f12,toggle-fullscreen=": what is named replaces the default, an empty
    // one takes it away. Errors: invalid_argument names the action or the key.
    Result<> apply(const std::string& list);
    Result<> set(const std::string& action, const std::string& keys);

    std::optional<Action> find(const KeyChord& chord) const;
    // Empty when the action has no key.
    std::string text_of(Action action) const;

  private:
    std::map<Action, KeyChord> chords_;
};

Result<KeyChord> parse_chord(const std::string& keys);

}  // namespace segue::viewer
