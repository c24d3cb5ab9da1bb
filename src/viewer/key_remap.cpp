// SPDX-License-Identifier: LGPL-2.1-or-later
#include "viewer/key_remap.h"

#include <SDL_keycode.h>

#include <array>
#include <charconv>

namespace segue::viewer {
namespace {

struct Name {
    std::string_view name;
    std::int32_t key;
};

constexpr std::array kNames = {
    Name{"Shift_L", SDLK_LSHIFT},
    Name{"Shift_R", SDLK_RSHIFT},
    Name{"Control_L", SDLK_LCTRL},
    Name{"Control_R", SDLK_RCTRL},
    Name{"Alt_L", SDLK_LALT},
    Name{"Alt_R", SDLK_RALT},
    Name{"ISO_Level3_Shift", SDLK_RALT},
    Name{"Super_L", SDLK_LGUI},
    Name{"Super_R", SDLK_RGUI},
    Name{"Menu", SDLK_APPLICATION},
    Name{"Return", SDLK_RETURN},
    Name{"Escape", SDLK_ESCAPE},
    Name{"BackSpace", SDLK_BACKSPACE},
    Name{"Tab", SDLK_TAB},
    Name{"space", SDLK_SPACE},
    Name{"Delete", SDLK_DELETE},
    Name{"Insert", SDLK_INSERT},
    Name{"Home", SDLK_HOME},
    Name{"End", SDLK_END},
    Name{"Page_Up", SDLK_PAGEUP},
    Name{"Prior", SDLK_PAGEUP},
    Name{"Page_Down", SDLK_PAGEDOWN},
    Name{"Next", SDLK_PAGEDOWN},
    Name{"Left", SDLK_LEFT},
    Name{"Right", SDLK_RIGHT},
    Name{"Up", SDLK_UP},
    Name{"Down", SDLK_DOWN},
    Name{"Print", SDLK_PRINTSCREEN},
    Name{"Pause", SDLK_PAUSE},
    Name{"Caps_Lock", SDLK_CAPSLOCK},
    Name{"Num_Lock", SDLK_NUMLOCKCLEAR},
    Name{"Scroll_Lock", SDLK_SCROLLLOCK},
    Name{"minus", SDLK_MINUS},
    Name{"equal", SDLK_EQUALS},
    Name{"comma", SDLK_COMMA},
    Name{"period", SDLK_PERIOD},
    Name{"slash", SDLK_SLASH},
    Name{"semicolon", SDLK_SEMICOLON},
    Name{"apostrophe", SDLK_QUOTE},
    Name{"bracketleft", SDLK_LEFTBRACKET},
    Name{"bracketright", SDLK_RIGHTBRACKET},
    Name{"backslash", SDLK_BACKSLASH},
    Name{"grave", SDLK_BACKQUOTE},
    Name{"KP_Enter", SDLK_KP_ENTER},
    Name{"KP_Add", SDLK_KP_PLUS},
    Name{"KP_Subtract", SDLK_KP_MINUS},
    Name{"KP_Multiply", SDLK_KP_MULTIPLY},
    Name{"KP_Divide", SDLK_KP_DIVIDE},
    Name{"KP_Decimal", SDLK_KP_PERIOD},
    Name{"KP_0", SDLK_KP_0},
};

// The number behind a prefix, from 1 to `most`; 0: it is none.
int number_behind(std::string_view name, std::string_view prefix, int most) {
    if (!name.starts_with(prefix)) return 0;
    name.remove_prefix(prefix.size());
    int number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    const bool whole = error == std::errc{} && end == name.data() + name.size();
    return whole && number >= 1 && number <= most ? number : 0;
}

Result<std::int32_t> key_of(std::string_view name) {
    for (const Name& known : kNames) {
        if (name == known.name) return known.key;
    }
    if (const int number = number_behind(name, "F", 12)) return SDLK_F1 + number - 1;
    if (const int number = number_behind(name, "KP_", 9)) return SDLK_KP_1 + number - 1;
    // SDL's codes of letters and digits are their small characters.
    const bool single = name.size() == 1;
    if (single && (name[0] >= '0' && name[0] <= '9')) return name[0];
    if (single && (name[0] >= 'a' && name[0] <= 'z')) return name[0];
    if (single && (name[0] >= 'A' && name[0] <= 'Z')) return name[0] - 'A' + 'a';
    return fail(ErrorCode::invalid_argument,
                "keymap: '{}' is no key; names are as Shift_L, F1, Return, a", name);
}

std::string_view take_until(std::string_view& rest, char separator) {
    const std::size_t end = std::min(rest.find(separator), rest.size());
    const std::string_view part = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    return part;
}

}  // namespace

Result<KeyRemap> KeyRemap::parse(std::string_view list) {
    KeyRemap remap;
    while (!list.empty()) {
        std::string_view pair = take_until(list, ',');
        if (pair.find('=') == std::string_view::npos) {
            return fail(ErrorCode::invalid_argument, "keymap is KEY=[KEY[+KEY]],…: '{}'", pair);
        }
        const std::int32_t from = TRY(key_of(take_until(pair, '=')));
        std::vector<std::int32_t>& to = remap.keys_[from];
        to.clear();
        while (!pair.empty())
            to.push_back(TRY(key_of(take_until(pair, '+'))));
    }
    return remap;
}

const std::vector<std::int32_t>* KeyRemap::find(std::int32_t key) const {
    const auto found = keys_.find(key);
    return found == keys_.end() ? nullptr : &found->second;
}

}  // namespace segue::viewer
