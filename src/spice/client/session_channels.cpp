// SPDX-License-Identifier: LGPL-2.1-or-later
// The session's channels: which are wanted, how they are made, and what they tell the owner.
#include "spice/client/session.h"

namespace segue::spice::client {

using wire::ChannelType;

bool Session::is_wanted(ChannelKey key) const {
    if (settings_.disabled_channels.contains(key.type)) return false;
    switch (key.type) {
        case ChannelType::main:
        case ChannelType::display:
        case ChannelType::inputs:
        case ChannelType::cursor: return true;
        case ChannelType::playback: return settings_.audio;
        // A watcher does not speak.
        case ChannelType::record: return settings_.audio && !settings_.read_only;
        case ChannelType::usbredir: return settings_.usb_redirection && !settings_.read_only;
        case ChannelType::port: return settings_.ports;
        case ChannelType::webdav: return settings_.folder_sharing;
        case ChannelType::smartcard: return settings_.smartcard && !settings_.read_only;
        default: return false;
    }
}

bool Session::is_of_device(ChannelType type) {
    return type == ChannelType::usbredir || type == ChannelType::port ||
           type == ChannelType::webdav || type == ChannelType::smartcard ||
           type == ChannelType::playback || type == ChannelType::record;
}

Channel* Session::make_channel(ChannelKey key) {
    std::unique_ptr<Channel>& channel = channels_[key];
    if (channel) return channel.get();
    ChannelHost& host = *this;
    MainListener& listener = *this;
    switch (key.type) {
        case ChannelType::main:
            channel = std::make_unique<MainChannel>(key, host, listener, settings_);
            break;
        case ChannelType::display:
            channel = std::make_unique<DisplayChannel>(
                key, host, settings_, environment_.loop, drawing_, caches_, clock_,
                [this](ChannelKey from, const DisplayNews& news) { on_display_news(from, news); });
            static_cast<DisplayChannel&>(*channel).set_generation(generation_);
            break;
        case ChannelType::inputs:
            channel = std::make_unique<InputsChannel>(
                key, host, settings_.read_only,
                [this](auto modifiers) { listener_.on_modifiers(modifiers); });
            break;
        case ChannelType::cursor:
            channel = std::make_unique<CursorChannel>(
                key, host,
                [this, key](const CursorState& state) { listener_.on_cursor(key, state); },
                memory_);
            break;
        default: channel = make_device_channel(key);
    }
    return channel.get();
}

std::unique_ptr<Channel> Session::make_device_channel(ChannelKey key) {
    ChannelHost& host = *this;
    switch (key.type) {
        case ChannelType::playback: return std::make_unique<PlaybackChannel>(key, host, listener_);
        case ChannelType::record: return std::make_unique<RecordChannel>(key, host, listener_);
        case ChannelType::smartcard:
            return std::make_unique<SmartcardChannel>(key, host, listener_);
        default: return std::make_unique<StreamChannel>(key, host, listener_, settings_.read_only);
    }
}

// --- What the owner uses -------------------------------------------------------------------------

template <class One>
One* Session::find_channel(ChannelKey key) {
    const auto found = channels_.find(key);
    return found == channels_.end() ? nullptr : static_cast<One*>(found->second.get());
}

DisplayChannel* Session::display(std::uint8_t id) {
    return find_channel<DisplayChannel>({ChannelType::display, id});
}

InputsChannel* Session::inputs() {
    return find_channel<InputsChannel>({ChannelType::inputs, 0});
}

RecordChannel* Session::record() {
    return find_channel<RecordChannel>({ChannelType::record, 0});
}

SmartcardChannel* Session::smartcard() {
    return find_channel<SmartcardChannel>({ChannelType::smartcard, 0});
}

StreamChannel* Session::stream(ChannelKey key) {
    const bool is_stream = key.type == ChannelType::usbredir || key.type == ChannelType::port ||
                           key.type == ChannelType::webdav;
    return is_stream ? find_channel<StreamChannel>(key) : nullptr;
}

bool Session::takes_stream_bytes(ChannelKey key) const {
    const auto channel = channels_.find(key);
    const auto wire = wires_.find(key);
    return channel != channels_.end() && channel->second->is_flowing() && wire != wires_.end() &&
           wire->second->has_room();
}

void Session::set_stream_reading(ChannelKey key, bool reading) {
    const auto wire = wires_.find(key);
    if (wire != wires_.end() && wire->second->is_linked()) wire->second->set_reading(reading);
}

void Session::reopen(ChannelKey key) {
    const auto wire = wires_.find(key);
    const bool can = state_ == FollowerState::settled && wire != wires_.end();
    if (!can || !channels_.contains(key)) return;
    wire->second->close();
    wires_.erase(wire);
    channels_.at(key)->reset(ResetReason::fresh);
    connect_channel(key);
}

void Session::tell_drained(ChannelKey key) {
    if (stream(key) != nullptr && takes_stream_bytes(key)) listener_.on_stream_drained(key);
}

MainChannel& Session::main() {
    return static_cast<MainChannel&>(*make_channel(kMain));
}

void Session::hear(std::uint32_t media_time, std::uint32_t delay_ms) {
    clock_.hear(media_time, delay_ms, environment_.loop.now());
}

// --- What the main channel says ------------------------------------------------------------------

void Session::on_mouse_mode(wire::main::MouseMode current) {
    listener_.on_mouse_mode(current);
}

void Session::on_media_time(std::uint32_t milliseconds) {
    clock_.set(milliseconds, environment_.loop.now());
}

// A watcher says nothing to the guest.
void Session::on_agent(bool connected) {
    if (!settings_.read_only) agent_.on_connected(connected);
}

void Session::on_agent_data(ByteView chunk) {
    agent_.on_data(chunk);
}

void Session::on_agent_drained() {
    agent_.on_drained();
}

}  // namespace segue::spice::client
