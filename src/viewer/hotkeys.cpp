// SPDX-License-Identifier: LGPL-2.1-or-later
#include "viewer/hotkeys.h"

#include <algorithm>
#include <array>

namespace segue::viewer {
namespace {

constexpr std::array kActions = {
    std::pair{"toggle-fullscreen", Action::toggle_fullscreen},
    std::pair{"release-cursor", Action::release_cursor},
    std::pair{"zoom-in", Action::zoom_in},
    std::pair{"zoom-out", Action::zoom_out},
    std::pair{"zoom-reset", Action::zoom_reset},
    std::pair{"secure-attention", Action::secure_attention},
    std::pair{"toggle-statistics", Action::toggle_overlay},
    std::pair{"screenshot", Action::screenshot},
    std::pair{"show-displays", Action::show_displays},
    std::pair{"smartcard-insert", Action::smartcard_insert},
    std::pair{"smartcard-remove", Action::smartcard_remove},
    std::pair{"usb-device-reset", Action::usb_device_reset},
};

std::string lower(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(),
                   [](unsigned char one) { return static_cast<char>(std::tolower(one)); });
    return text;
}

// GTK's names for keys where SDL has others.
std::string key_name(std::string key) {
    constexpr std::array kNames = {
        std::pair{"plus", "="},
        std::pair{"minus", "-"},
        std::pair{"equal", "="},
        std::pair{"page_up", "pageup"},
        std::pair{"page_down", "pagedown"},
        std::pair{"print", "printscreen"},
        std::pair{"scroll_lock", "scrolllock"},
        std::pair{"esc", "escape"},
        std::pair{"del", "delete"},
        std::pair{"ins", "insert"},
    };
    for (const auto& [name, ours] : kNames) {
        if (key == name) return ours;
    }
    return key;
}

}  // namespace

std::string KeyChord::text() const {
    std::string result;
    const auto add = [&](bool held, const char* name) {
        if (held) result += result.empty() ? name : std::string("+") + name;
    };
    add(control, "Ctrl");
    add(alt, "Alt");
    add(shift, "Shift");
    add(super, "Super");
    if (key.empty()) return result;
    std::string name = key;
    name[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(name[0])));
    return result.empty() ? name : result + "+" + name;
}

Result<KeyChord> parse_chord(const std::string& keys) {
    KeyChord chord;
    std::string rest = lower(keys);
    while (!rest.empty()) {
        const std::size_t end = std::min(rest.find('+'), rest.size());
        const std::string part = rest.substr(0, end);
        rest = end < rest.size() ? rest.substr(end + 1) : std::string();
        if (part == "shift" || part == "shift_l" || part == "shift_r")
            chord.shift = true;
        else if (part == "ctrl" || part == "control" || part == "ctrl_l" || part == "ctrl_r")
            chord.control = true;
        else if (part == "alt" || part == "alt_l" || part == "alt_r")
            chord.alt = true;
        else if (part == "super" || part == "meta")
            chord.super = true;
        else if (part.empty() || !chord.key.empty())
            return fail(ErrorCode::invalid_argument, "hotkey '{}': one key and its modifiers",
                        keys);
        else
            chord.key = key_name(part);
    }
    return chord;
}

Hotkeys::Hotkeys()
    : chords_{{Action::toggle_fullscreen, {true, false, false, false, "f11"}},
              {Action::release_cursor, {false, true, true, false, ""}},
              {Action::zoom_in, {false, true, false, false, "="}},
              {Action::zoom_out, {false, true, false, false, "-"}},
              {Action::zoom_reset, {false, true, false, false, "0"}},
              {Action::secure_attention, {false, true, true, false, "end"}},
              {Action::toggle_overlay, {true, false, false, false, "f10"}},
              {Action::screenshot, {true, false, false, false, "f9"}},
              {Action::show_displays, {true, false, false, false, "f8"}}} {}

Result<> Hotkeys::set(const std::string& action, const std::string& keys) {
    const auto* found = std::find_if(kActions.begin(), kActions.end(),
                                     [&](const auto& entry) { return action == entry.first; });
    if (found == kActions.end())
        return fail(ErrorCode::invalid_argument, "hotkeys: '{}' is no action", action);
    if (keys.empty()) {
        chords_.erase(found->second);
        return {};
    }
    chords_[found->second] = TRY(parse_chord(keys));
    return {};
}

Result<> Hotkeys::apply(const std::string& list) {
    std::string_view rest = list;
    while (!rest.empty()) {
        const std::size_t end = std::min(rest.find(','), rest.size());
        const std::string_view pair = rest.substr(0, end);
        rest = rest.substr(std::min(end + 1, rest.size()));
        const std::size_t equals = pair.find('=');
        if (equals == std::string_view::npos)
            return fail(ErrorCode::invalid_argument, "hotkeys are ACTION=KEY+KEY,…: '{}'", pair);
        TRY(set(std::string(pair.substr(0, equals)), std::string(pair.substr(equals + 1))));
    }
    return {};
}

std::optional<Action> Hotkeys::find(const KeyChord& chord) const {
    for (const auto& [action, keys] : chords_) {
        if (keys == chord) return action;
    }
    return std::nullopt;
}

std::string Hotkeys::text_of(Action action) const {
    const auto found = chords_.find(action);
    return found == chords_.end() ? std::string() : found->second.text();
}

}  // namespace segue::viewer
