// SPDX-License-Identifier: LGPL-2.1-or-later
// The server's part in its devices: what QEMU attaches and takes away, what a client does to a
// keyboard, mouse or tablet, and who of them points: mouse, tablet or agent.
#include "base/log.h"
#include "spice/server/server.h"

namespace segue::spice::server {

namespace main_wire = wire::main;
using wire::ChannelType;

// --- Devices ------------------------------------------------------------------------------------

Result<Display*> Server::add_display(std::unique_ptr<DisplayDevice> device) {
    if (home_ == nullptr)
        return fail(ErrorCode::operation_invalid, "a display before spice_server_init");
    auto display = TRY(
        Display::make(std::move(device), *home_,
                      {[this](LinkId link) { channel_lost(link); },
                       [this](LinkId link, ImageCompression wish) { wish_came_late(link, wish); },
                       [this](LinkId link, Duration lead) { video_lead_changed(link, lead); },
                       [this](LinkId link) { channel_came(link); }},
                      pending_total_, make_loop_));
    displays_.push_back(std::move(display));
    apply_options();
    if (running_) displays_.back()->start();
    return displays_.back().get();
}

void Server::video_lead_changed(LinkId link, Duration lead) {
    for (const auto& client : clients_) {
        if (client->channels().count(link) != 0) client->video_lead_changed(lead);
    }
}

void Server::remove_display(Display* display) {
    const auto found = std::find_if(displays_.begin(), displays_.end(),
                                    [&](const auto& own) { return own.get() == display; });
    if (found == displays_.end()) return;
    for (const auto& client : clients_)
        client->display_removed(display);
    device_infos_.erase(display);
    displays_.erase(found);
    apply_options();
}

Result<> Server::set_keyboard(std::unique_ptr<KeyboardDevice> keyboard) {
    if (keyboard_) return fail(ErrorCode::exists, "there is a keyboard already");
    keyboard_ = std::move(keyboard);
    return {};
}

Result<> Server::set_mouse(std::unique_ptr<MouseDevice> mouse) {
    if (mouse_) return fail(ErrorCode::exists, "there is a mouse already");
    mouse_ = std::move(mouse);
    return {};
}

Result<> Server::set_tablet(std::unique_ptr<TabletDevice> tablet) {
    if (tablet && tablet_) return fail(ErrorCode::exists, "there is a tablet already");
    tablet_ = std::move(tablet);
    if (tablet_ && pointer_width_ > 0) tablet_->set_logical_size(pointer_width_, pointer_height_);
    update_mouse_mode();
    return {};
}

void Server::set_migration_observer(std::unique_ptr<MigrationObserver> observer) {
    migration_observer_ = std::move(observer);
}

void Server::make_devices() {
    CharDevices::Hooks hooks;
    hooks.agent.on_change = [this] { update_mouse_mode(); };
    // The agent has compared what the message says it has with what is there. The struct is packed:
    // it may lie anywhere.
    hooks.agent.on_monitors = [this](Bytes config) {
        static_assert(alignof(VDAgentMonitorsConfig) == 1);
        auto* monitors = reinterpret_cast<VDAgentMonitorsConfig*>(config.data());
        for (const auto& display : displays_)
            display->device().client_monitors_config(monitors);
    };
    hooks.agent.graphics_devices = [this] { return graphics_devices(); };
    hooks.on_channel_added = [this](ChannelKey key) { channel_added(key); };
    hooks.on_channel_gone = [this](ChannelKey key) { channel_gone(key); };
    hooks.is_display = [this](std::uint8_t id) { return display_of(id) != nullptr; };
    hooks.media_time = [this] { return media_time(); };
    devices_ = std::make_unique<CharDevices>(*home_, std::move(hooks));
    // As with stock: bytes move until the embedder says that the machine stands.
    devices_->set_running(true);
    SoundDevices::Hooks sound;
    sound.media_time = [this] { return media_time(); };
    sound.on_channel_added = [this](ChannelKey key) { channel_added(key); };
    sound.on_channel_gone = [this](ChannelKey key) { channel_gone(key); };
    sound_ = std::make_unique<SoundDevices>(std::move(sound));
}

void Server::channel_added(ChannelKey key) {
    apply_options();
    for (const auto& client : clients_)
        client->channel_added(key);
}

void Server::channel_gone(ChannelKey key) {
    apply_options();
    for (const auto& client : clients_)
        client->channel_gone(key);
}

Result<DeviceHandle*> Server::add_char_device(std::unique_ptr<CharDevice> device) {
    if (!devices_)
        return fail(ErrorCode::operation_invalid, "a character device before spice_server_init");
    return devices_->add(std::move(device));
}

void Server::remove_char_device(DeviceHandle* handle) {
    if (devices_) devices_->remove(handle);
}

Result<Playback*> Server::add_playback() {
    if (!sound_) return fail(ErrorCode::operation_invalid, "sound before spice_server_init");
    return sound_->add_playback();
}

Result<Record*> Server::add_record() {
    if (!sound_) return fail(ErrorCode::operation_invalid, "sound before spice_server_init");
    return sound_->add_record();
}

std::unique_ptr<Channel> Server::make_device_channel(const ChannelSetup& setup,
                                                     ChannelOutput& output, bool is_remote) {
    if (setup.key.type == ChannelType::playback || setup.key.type == ChannelType::record)
        return sound_->make_channel(setup, output, options_.playback_compression);
    return devices_->make_channel(setup, output, is_remote);
}

void Server::close_channel(LinkId link) {
    home_->post([this, alive = alive_, link] {
        if (*alive) channel_lost(link);
    });
}

void Server::leds_changed(std::uint8_t leds) {
    for (const auto& client : clients_)
        client->leds_changed(leds);
}

void Server::primary_changed(int width, int height, bool mouse_mode) {
    pointer_width_ = width;
    pointer_height_ = height;
    primary_allows_tablet_ = mouse_mode;
    if (tablet_) tablet_->set_logical_size(width, height);
    update_mouse_mode();
}

void Server::set_device_info(Display* display, const std::string& address,
                             std::uint32_t first_output, std::uint32_t outputs) {
    constexpr std::size_t kMostAddress = 255;
    constexpr std::uint32_t kMostOutputs = 16;
    if (address.size() > kMostAddress || outputs > kMostOutputs) {
        log_warning("spice", "device info with {} outputs at an address of {} characters: ignored",
                    outputs, address.size());
        return;
    }
    device_infos_[display] = {address, first_output, outputs};
    if (devices_) devices_->agent().graphics_devices_changed();
}

// VDAgentGraphicsDeviceInfo of spice/vd_agent.h.
Bytes Server::graphics_devices() const {
    LittleWriter entries;
    std::uint32_t count = 0;
    const auto add = [&](std::uint32_t channel, std::uint32_t monitor, std::uint32_t output,
                         const std::string& address) {
        entries.u32(channel);
        entries.u32(monitor);
        entries.u32(output);
        entries.u32(static_cast<std::uint32_t>(address.size() + 1));
        entries.bytes(as_bytes(address));
        entries.u8(0);
        ++count;
    };
    for (const auto& display : displays_) {
        const auto info = device_infos_.find(display.get());
        if (info == device_infos_.end()) continue;
        for (std::uint32_t output = 0; output < info->second.outputs; ++output)
            add(display->id(), output, info->second.first_output + output, info->second.address);
    }
    for (const auto& stream : devices_->streams()) {
        const std::optional<StreamOrigin>& origin = stream->origin();
        if (origin && stream->id())
            add(*stream->id(), origin->stream, origin->output, origin->address);
    }
    if (count == 0) return {};
    LittleWriter message;
    message.u32(count);
    message.bytes(entries.take());
    return message.take();
}

// --- Mouse mode ---------------------------------------------------------------------------------

bool Server::agent_has_mouse() const {
    return options_.agent_mouse && devices_ && devices_->agent().is_attached();
}

void Server::update_mouse_mode() {
    const bool allowed = (tablet_ || agent_has_mouse()) && primary_allows_tablet_;
    const main_wire::MouseMode before = mouse_mode_;
    // A client would ask for it anew, and point with the wrong pointer until it is answered.
    if (allowed && std::exchange(brought_mode_, {}) == main_wire::MouseMode::client)
        mouse_mode_ = main_wire::MouseMode::client;
    if (!allowed) mouse_mode_ = main_wire::MouseMode::server;
    if (std::exchange(absolute_allowed_, allowed) == allowed && before == mouse_mode_) return;
    for (const auto& client : clients_)
        client->mouse_mode_changed();
}

void Server::want_mouse_mode(main_wire::MouseMode mode) {
    if (mode == main_wire::MouseMode::client && !absolute_allowed_) return;
    if (mode != main_wire::MouseMode::client && mode != main_wire::MouseMode::server) return;
    brought_mode_.reset();
    if (mode == mouse_mode_) return;
    mouse_mode_ = mode;
    for (const auto& client : clients_)
        client->mouse_mode_changed();
}

// --- Input --------------------------------------------------------------------------------------

void Server::scancode(std::uint8_t byte) {
    if (keyboard_) keyboard_->push_scancode(byte);
}
std::uint8_t Server::leds() {
    return keyboard_ ? keyboard_->leds() : 0;
}
void Server::mouse_motion(int dx, int dy, int dz, std::uint32_t buttons) {
    if (mouse_) mouse_->motion(dx, dy, dz, buttons);
}
void Server::mouse_buttons(std::uint32_t buttons) {
    if (mouse_) mouse_->buttons(buttons);
}
void Server::tablet_position(int x, int y, std::uint32_t buttons, std::uint8_t display) {
    agent_mouse_.x = static_cast<std::uint32_t>(x);
    agent_mouse_.y = static_cast<std::uint32_t>(y);
    agent_mouse_.display = display;
    if (agent_has_mouse()) return tell_agent_mouse(buttons, 0);
    if (tablet_) tablet_->position(x, y, buttons);
}
void Server::tablet_wheel(int motion, std::uint32_t buttons) {
    if (agent_has_mouse()) {
        return tell_agent_mouse(buttons, motion < 0   ? VD_AGENT_UBUTTON_MASK
                                         : motion > 0 ? VD_AGENT_DBUTTON_MASK
                                                      : 0);
    }
    if (tablet_) tablet_->wheel(motion, buttons);
}
void Server::tablet_buttons(std::uint32_t buttons) {
    if (agent_has_mouse()) return tell_agent_mouse(buttons, 0);
    if (tablet_) tablet_->buttons(buttons);
}
// A device's bits are left, right, middle, -, -, -, side, extra; the agent's stand in another
// order.
void Server::tell_agent_mouse(std::uint32_t buttons, std::uint32_t wheel) {
    agent_mouse_.buttons =
        (buttons & 1) << 1 | (buttons & 4) | (buttons & 2) << 2 | (buttons & 0xc0) | wheel;
    devices_->agent().mouse(agent_mouse_);
}
MachineState Server::machine() const {
    if (running_) return MachineState::runs;
    return source_.is_started() ? MachineState::leaves : MachineState::stands;
}
bool Server::absolute_pointer() const {
    return mouse_mode_ == main_wire::MouseMode::client;
}

}  // namespace segue::spice::server
