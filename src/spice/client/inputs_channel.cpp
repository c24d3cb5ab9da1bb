// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/client/inputs_channel.h"

namespace segue::spice::client {

namespace inputs = wire::inputs;
using wire::operator|=;
using wire::without;

namespace {

// A release is the press with bit 7 of the last byte: 1e -> 9e, e0 48 -> e0 c8.
inputs::KeyUp release_of(std::uint32_t scan_code) {
    return {(scan_code & 0xff) == 0xe0 ? scan_code | 0x8000 : scan_code | 0x80};
}

}  // namespace

Result<> InputsChannel::handle(const wire::IncomingMessage& message) {
    return inputs::dispatch_from_server(message.number, message.body,
                                        [this](const auto& parsed) { return on(parsed); });
}

// What was let go of on the way to a server that could not pass it on, or while there was none, is
// still down for the guest.
void InputsChannel::on_up(const wire::Capabilities&) {
    for (const std::uint32_t scan_code : released_)
        say(release_of(scan_code));
}

void InputsChannel::on_reset(ResetReason reason) {
    (void)reason;
    unacknowledged_ = 0;
    waiting_dx_ = waiting_dy_ = 0;
    waiting_position_.reset();
}

Result<> InputsChannel::on(const inputs::Init& message) {
    on_modifiers_(message.modifiers);
    return {};
}

Result<> InputsChannel::on(const inputs::KeyModifiers& message) {
    on_modifiers_(message.modifiers);
    return {};
}

Result<> InputsChannel::on(const inputs::MouseMotionAck&) {
    unacknowledged_ -=
        std::min(unacknowledged_, static_cast<std::uint32_t>(inputs::kMotionAckBunch));
    send_movement();
    return {};
}

void InputsChannel::key(std::uint32_t scan_code, bool pressed) {
    if (read_only_) return;
    std::erase(released_, scan_code);
    if (pressed) {
        say(inputs::KeyDown{scan_code});
        return;
    }
    say(release_of(scan_code));
    released_.push_back(scan_code);
    if (released_.size() > kMaxReleased) released_.pop_front();
}

void InputsChannel::set_modifiers(inputs::KeyboardModifiers modifiers) {
    if (!read_only_) say(inputs::KeyModifiers{modifiers});
}

void InputsChannel::motion(std::int32_t dx, std::int32_t dy) {
    if (read_only_) return;
    waiting_dx_ += dx;
    waiting_dy_ += dy;
    send_movement();
}

void InputsChannel::position(std::uint32_t x, std::uint32_t y, std::uint8_t display_id) {
    if (read_only_) return;
    waiting_position_ = inputs::MousePosition{x, y, buttons_, display_id};
    send_movement();
}

void InputsChannel::send_movement(bool now) {
    const auto clamp = [](std::int64_t value) {
        return static_cast<std::int32_t>(std::clamp<std::int64_t>(value, INT32_MIN, INT32_MAX));
    };
    if ((now || unacknowledged_ < kMaxUnacknowledged) && (waiting_dx_ != 0 || waiting_dy_ != 0)) {
        say(inputs::MouseMotion{clamp(waiting_dx_), clamp(waiting_dy_), buttons_});
        waiting_dx_ = waiting_dy_ = 0;
        ++unacknowledged_;
    }
    if ((now || unacknowledged_ < kMaxUnacknowledged) && waiting_position_) {
        waiting_position_->buttons = buttons_;
        say(*waiting_position_);
        waiting_position_.reset();
        ++unacknowledged_;
    }
}

void InputsChannel::button(inputs::MouseButton button, bool pressed) {
    if (read_only_ || button == inputs::MouseButton::invalid) return;
    const auto mask =
        static_cast<inputs::MouseButtonMask>(1u << (static_cast<unsigned>(button) - 1));
    // The pointer is where the user saw it before the button tells about it.
    send_movement(true);
    if (pressed) {
        buttons_ |= mask;
        say(inputs::MousePress{button, buttons_});
    } else {
        buttons_ = without(buttons_, mask);
        say(inputs::MouseRelease{button, buttons_});
    }
}

}  // namespace segue::spice::client
