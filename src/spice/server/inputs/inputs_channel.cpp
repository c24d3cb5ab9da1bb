// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/inputs/inputs_channel.h"

#include "spice/wire/migration.schema.h"

namespace segue::spice::server {
namespace {

namespace inputs = wire::inputs;
namespace common = wire::common;

// The keys that turn the lock lights, as XT scan codes.
constexpr std::uint8_t kScrollLock = 0x46;
constexpr std::uint8_t kNumLock = 0x45;
constexpr std::uint8_t kCapsLock = 0x3a;
constexpr std::uint8_t kReleased = 0x80;
// "ICMD", version and the count of motions.
constexpr std::size_t kBlobSize = 10;

// SPICE's bits are left, middle, right, up, down, side, extra; a device's are left, right, middle,
// -, up, down, side, extra. Wheel steps come as button numbers, never in the mask.
std::uint32_t device_buttons(inputs::MouseButtonMask mask) {
    const auto bits = static_cast<std::uint32_t>(mask);
    return (bits & 1) | (bits & 2) << 1 | (bits & 4) >> 1 | (bits & 0x60) << 1;
}

}  // namespace

struct InputsChannel::Handler {
    InputsChannel& channel;

    Result<> operator()(const inputs::KeyDown& key) {
        channel.push_code(key.code);
        return {};
    }
    Result<> operator()(const inputs::KeyUp& key) {
        channel.push_code(key.code);
        return {};
    }
    Result<> operator()(const inputs::KeyScancode& key) {
        for (const std::uint8_t byte : key.codes.contiguous().view())
            channel.push(byte);
        return {};
    }
    Result<> operator()(const inputs::KeyModifiers& wanted) {
        channel.turn_leds(static_cast<std::uint8_t>(wanted.modifiers));
        return {};
    }
    Result<> operator()(const inputs::MouseMotion& motion) {
        channel.motion_done();
        if (!channel.sink_.absolute_pointer())
            channel.sink_.mouse_motion(motion.dx, motion.dy, 0, device_buttons(motion.buttons));
        return {};
    }
    Result<> operator()(const inputs::MousePosition& position) {
        channel.motion_done();
        if (!channel.sink_.absolute_pointer()) return {};
        channel.sink_.tablet_position(static_cast<int>(position.x), static_cast<int>(position.y),
                                      device_buttons(position.buttons), position.display_id);
        return {};
    }
    Result<> operator()(const inputs::MousePress& press) {
        channel.button_is_down_ = device_buttons(press.buttons) != 0;
        channel.wheel_or_buttons(press.button, device_buttons(press.buttons));
        return {};
    }
    Result<> operator()(const inputs::MouseRelease& release) {
        channel.button_is_down_ = device_buttons(release.buttons) != 0;
        if (channel.sink_.absolute_pointer()) {
            channel.sink_.tablet_buttons(device_buttons(release.buttons));
        } else {
            channel.sink_.mouse_buttons(device_buttons(release.buttons));
        }
        return {};
    }
};

InputsChannel::~InputsChannel() {
    for (const std::uint8_t byte : pressed_.release())
        sink_.scancode(byte);
    if (!button_is_down_) return;
    if (sink_.absolute_pointer()) {
        sink_.tablet_buttons(0);
    } else {
        sink_.mouse_buttons(0);
    }
}

void InputsChannel::start() {
    if (expects_data()) return;
    inputs::Init init;
    init.modifiers = static_cast<inputs::KeyboardModifiers>(sink_.leds() & 7);
    send(init);
}

Result<> InputsChannel::handle(std::uint16_t number, const wire::SharedBytes& body) {
    if (is_between_hosts()) return keep(number, body);
    has_arrived_ = has_arrived_ || sink_.machine() == MachineState::runs;
    return inputs::dispatch_from_client(number, body, Handler{*this});
}

// --- Between two hosts --------------------------------------------------------------------------

// QEMU drops what it is given while its machine stands still. From the moment it stops here until
// it runs there that would cost the user a letter, or a release, and then the key repeats.
bool InputsChannel::is_between_hosts() const {
    const MachineState machine = sink_.machine();
    const bool arrives = setup().expects_data && !has_arrived_;
    return is_migrating() || machine == MachineState::leaves ||
           (arrives && machine != MachineState::runs);
}

Result<> InputsChannel::keep(std::uint16_t number, const wire::SharedBytes& body) {
    // Beyond this the machine is late, and nobody types at a still picture for its sake.
    if (kept_.size() >= kMostKept || body.size() > wire::extension::kKeptInput) return {};
    if (kept_.empty()) kept_since_ = sink_.now();
    wire::extension::KeptInput message;
    message.number = number;
    message.body.assign(body.view().begin(), body.view().end());
    kept_.push_back(std::move(message));
    return {};
}

void InputsChannel::machine_runs() {
    has_arrived_ = true;
    // A message that breaks the protocol ends the replay; the client's next one ends the channel.
    [[maybe_unused]] const Result<> done = replay();
}

Result<> InputsChannel::replay() {
    const auto kept = std::exchange(kept_, {});
    if (sink_.now() - kept_since_ > kKeepFor) return {};
    for (const wire::extension::KeptInput& message : kept) {
        TRY(inputs::dispatch_from_client(message.number, wire::SharedBytes::copy(message.body),
                                         Handler{*this}));
    }
    return {};
}

void InputsChannel::push(std::uint8_t byte) {
    pressed_.pushed(byte);
    sink_.scancode(byte);
}

void InputsChannel::leds_changed(std::uint8_t leds) {
    inputs::KeyModifiers message;
    message.modifiers = static_cast<inputs::KeyboardModifiers>(leds & 7);
    send(message);
}

// Up to four bytes, the first in the low byte; a zero ends them.
void InputsChannel::push_code(std::uint32_t code) {
    for (; code != 0; code >>= 8)
        push(static_cast<std::uint8_t>(code & 0xff));
}

void InputsChannel::turn_leds(std::uint8_t wanted) {
    const std::uint8_t differ = static_cast<std::uint8_t>(wanted ^ sink_.leds());
    const auto turn = [&](inputs::KeyboardModifiers light, std::uint8_t code) {
        if ((differ & static_cast<std::uint8_t>(light)) == 0) return;
        sink_.scancode(code);
        sink_.scancode(code | kReleased);
    };
    turn(inputs::KeyboardModifiers::scroll_lock, kScrollLock);
    turn(inputs::KeyboardModifiers::num_lock, kNumLock);
    turn(inputs::KeyboardModifiers::caps_lock, kCapsLock);
}

void InputsChannel::motion_done() {
    if (++motions_ < inputs::kMotionAckBunch) return;
    motions_ = 0;
    send(inputs::MouseMotionAck{});
}

void InputsChannel::wheel_or_buttons(inputs::MouseButton button, std::uint32_t buttons) {
    int wheel = 0;
    if (button == inputs::MouseButton::up) wheel = -1;
    if (button == inputs::MouseButton::down) wheel = 1;
    if (sink_.absolute_pointer()) {
        sink_.tablet_wheel(wheel, buttons);
    } else {
        sink_.mouse_motion(0, 0, wheel, buttons);
    }
}

std::uint32_t InputsChannel::migrate_flags() const {
    return static_cast<std::uint32_t>(common::MigrateFlags::need_flush |
                                      common::MigrateFlags::need_data_transfer);
}

Bytes InputsChannel::migrate_data() {
    wire::migration::Inputs state;
    state.motion_count = static_cast<std::uint16_t>(motions_);
    Bytes blob = wire::encode(0, state).body();
    if (kept_.empty()) return blob;
    wire::extension::InputsState more;
    more.kept = std::exchange(kept_, {});
    const Bytes extension = wire::encode(0, more).body();
    blob.insert(blob.end(), extension.begin(), extension.end());
    return blob;
}

Result<> InputsChannel::restore(const wire::SharedBytes& blob) {
    const std::size_t size = std::min(blob.size(), kBlobSize);
    const auto state = TRY(wire::parse<wire::migration::Inputs>(blob.slice(0, size)));
    // All whole bunches are acknowledged at once; the rest counts on.
    motions_ += state.motion_count % inputs::kMotionAckBunch;
    for (unsigned bunch = 0; bunch < state.motion_count / inputs::kMotionAckBunch; ++bunch)
        send(inputs::MouseMotionAck{});
    leds_changed(sink_.leds());
    if (blob.size() == kBlobSize) return {};
    auto more = TRY(
        wire::parse<wire::extension::InputsState>(blob.slice(kBlobSize, blob.size() - kBlobSize)));
    // What came from the client itself meanwhile is newer.
    more.kept.insert(more.kept.end(), std::make_move_iterator(kept_.begin()),
                     std::make_move_iterator(kept_.end()));
    kept_ = std::move(more.kept);
    kept_since_ = sink_.now();
    return is_between_hosts() ? Result<>{} : replay();
}

}  // namespace segue::spice::server
