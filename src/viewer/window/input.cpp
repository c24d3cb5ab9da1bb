// SPDX-License-Identifier: LGPL-2.1-or-later
#include "viewer/window/input.h"

#include <algorithm>

#include "viewer/window/keymap.h"

namespace segue::viewer {

namespace inputs = spice::wire::inputs;

namespace {

KeyChord modifiers_of(Uint16 mod) {
    return {(mod & KMOD_SHIFT) != 0, (mod & KMOD_CTRL) != 0, (mod & KMOD_ALT) != 0,
            (mod & KMOD_GUI) != 0, ""};
}

bool is_modifier(SDL_Keycode key) {
    return key == SDLK_LSHIFT || key == SDLK_RSHIFT || key == SDLK_LCTRL || key == SDLK_RCTRL ||
           key == SDLK_LALT || key == SDLK_RALT || key == SDLK_LGUI || key == SDLK_RGUI;
}

std::string lower_name(SDL_Keycode key) {
    std::string name = SDL_GetKeyName(key);
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char one) { return static_cast<char>(std::tolower(one)); });
    return name;
}

// Scan codes of Ctrl, Alt and Delete.
constexpr std::uint32_t kSecureAttention[] = {0x1d, 0x38, 0x53e0};

}  // namespace

Input::Input(Channel channel, const Options& options)
    : channel_(std::move(channel)),
      hotkeys_(options.hotkeys),
      read_only_(options.settings.read_only),
      may_grab_(options.may_grab),
      remap_(options.key_remap),
      delay_ms_(options.keypress_delay_ms) {}

// --- Keys ----------------------------------------------------------------------------------------

std::optional<Action> Input::on_key(const SDL_KeyboardEvent& event) {
    const bool pressed = event.type == SDL_KEYDOWN;
    const SDL_Keycode key = event.keysym.sym;
    std::optional<Action> action;
    if (is_modifier(key)) {
        if (pressed) {
            chord_ = modifiers_of(event.keysym.mod);
        } else if (chord_) {
            action = hotkeys_.find(*std::exchange(chord_, std::nullopt));
        }
    } else {
        chord_.reset();
        KeyChord chord = modifiers_of(event.keysym.mod);
        chord.key = lower_name(key);
        if (pressed) action = hotkeys_.find(chord);
        if (action) return event.repeat ? std::nullopt : action;
    }
    if (const auto* keys = remap_.find(key)) {
        send_remapped(*keys, event);
    } else if (const std::uint32_t code = xt_scan_code(event.keysym.scancode); code != 0) {
        // What was never pressed for the guest (the key of a hotkey) is not let go there.
        if (pressed || pressed_.contains(code)) send(code, pressed);
    }
    return action;
}

void Input::send_remapped(const std::vector<std::int32_t>& keys, const SDL_KeyboardEvent& event) {
    const bool pressed = event.type == SDL_KEYDOWN;
    std::vector<std::uint32_t> codes;
    for (const std::int32_t one : keys) {
        // Where the user's layout lacks the key, the guest's has it in its usual place.
        SDL_Scancode place = SDL_GetScancodeFromKey(one);
        if (place == SDL_SCANCODE_UNKNOWN && (one & SDLK_SCANCODE_MASK) != 0)
            place = static_cast<SDL_Scancode>(one & ~SDLK_SCANCODE_MASK);
        if (const std::uint32_t code = xt_scan_code(place); code != 0) codes.push_back(code);
    }
    if (!pressed) std::reverse(codes.begin(), codes.end());
    if (event.repeat != 0 && !codes.empty()) codes.erase(codes.begin(), codes.end() - 1);
    for (const std::uint32_t code : codes) {
        if (pressed || pressed_.contains(code)) send(code, pressed);
    }
}

void Input::send(std::uint32_t code, bool pressed) {
    const bool waits = pressed && delay_ms_ > 0 && !pressed_.contains(code);
    send_delayed();
    pressed ? void(pressed_.insert(code)) : void(pressed_.erase(code));
    if (waits) {
        delayed_ = code;
        delayed_until_ms_ = SDL_GetTicks64() + delay_ms_;
        return;
    }
    if (auto* channel = channel_()) channel->key(code, pressed);
}

void Input::send_delayed() {
    const auto code = std::exchange(delayed_, std::nullopt);
    auto* channel = code ? channel_() : nullptr;
    if (channel != nullptr) channel->key(*code, true);
}

void Input::tick() {
    if (delayed_ && SDL_GetTicks64() >= delayed_until_ms_) send_delayed();
}

void Input::send_secure_attention() {
    auto* channel = channel_();
    if (channel == nullptr) return;
    // Ctrl and Alt may be down for the hotkey: guests keep few keys that they have not read.
    std::vector<std::uint32_t> codes;
    for (const std::uint32_t code : kSecureAttention) {
        if (!pressed_.contains(code)) codes.push_back(code);
    }
    for (const std::uint32_t code : codes)
        channel->key(code, true);
    for (auto code = codes.rbegin(); code != codes.rend(); ++code)
        channel->key(*code, false);
}

void Input::on_focus(DisplayWindow& window) {
    if (may_grab_ && !read_only_) SDL_SetWindowKeyboardGrab(window.window(), SDL_TRUE);
    const SDL_Keymod mod = SDL_GetModState();
    unsigned lights = 0;
    if (mod & KMOD_SCROLL) lights |= static_cast<unsigned>(inputs::KeyboardModifiers::scroll_lock);
    if (mod & KMOD_NUM) lights |= static_cast<unsigned>(inputs::KeyboardModifiers::num_lock);
    if (mod & KMOD_CAPS) lights |= static_cast<unsigned>(inputs::KeyboardModifiers::caps_lock);
    const auto wanted = static_cast<inputs::KeyboardModifiers>(lights);
    if (wanted == guest_modifiers_) return;
    guest_modifiers_ = wanted;
    if (auto* channel = channel_()) channel->set_modifiers(wanted);
}

void Input::on_focus_lost() {
    chord_.reset();
    send_delayed();
    const std::set<std::uint32_t> down = std::exchange(pressed_, {});
    for (const std::uint32_t code : down) {
        if (auto* channel = channel_()) channel->key(code, false);
    }
    release();
}

// --- Mouse ---------------------------------------------------------------------------------------

void Input::set_absolute(bool absolute) {
    absolute_ = absolute;
    if (absolute) release();
}

void Input::grab(DisplayWindow& window) {
    if (read_only_ || !may_grab_) return;
    grabbed_ = true;
    SDL_SetWindowKeyboardGrab(window.window(), SDL_TRUE);
    SDL_SetRelativeMouseMode(SDL_TRUE);
}

void Input::release() {
    grabbed_ = false;
    SDL_SetRelativeMouseMode(SDL_FALSE);
    if (SDL_Window* window = SDL_GetKeyboardFocus()) SDL_SetWindowKeyboardGrab(window, SDL_FALSE);
}

void Input::on_motion(const SDL_MouseMotionEvent& event, const DisplayWindow& window) {
    auto* channel = channel_();
    if (channel == nullptr) return;
    if (!absolute_) {
        if (grabbed_) channel->motion(event.xrel, event.yrel);
        return;
    }
    if (const auto point = window.to_guest(event.x, event.y))
        channel->position(point->x, point->y, window.key().display);
}

void Input::on_button(const SDL_MouseButtonEvent& event, DisplayWindow& window) {
    const bool pressed = event.type == SDL_MOUSEBUTTONDOWN;
    if (!absolute_ && !grabbed_) {
        if (pressed) grab(window);
        return;
    }
    const auto button = event.button == SDL_BUTTON_LEFT     ? inputs::MouseButton::left
                        : event.button == SDL_BUTTON_MIDDLE ? inputs::MouseButton::middle
                        : event.button == SDL_BUTTON_RIGHT  ? inputs::MouseButton::right
                        : event.button == SDL_BUTTON_X1     ? inputs::MouseButton::side
                        : event.button == SDL_BUTTON_X2     ? inputs::MouseButton::extra
                                                            : inputs::MouseButton::invalid;
    if (auto* channel = channel_()) channel->button(button, pressed);
}

void Input::on_wheel(int steps) {
    auto* channel = channel_();
    const auto button = steps > 0 ? inputs::MouseButton::up : inputs::MouseButton::down;
    for (int count = std::abs(steps); channel != nullptr && count > 0; --count) {
        channel->button(button, true);
        channel->button(button, false);
    }
}

}  // namespace segue::viewer
