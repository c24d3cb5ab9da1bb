// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/vmc/vmc_device.h"

#include "spice/server/vmc/vmc_channel.h"
#include "spice/wire/port.schema.h"

namespace segue::spice::server {

using wire::SharedBytes;

VmcDevice::VmcDevice(ChannelKey key, std::unique_ptr<CharDevice> device, Loop& loop)
    : key_(key), port_name_(device->port_name()), port_(std::move(device), loop, *this) {}

VmcDevice::~VmcDevice() {
    if (channel_ != nullptr) channel_->device_gone();
}

bool VmcDevice::is_port() const {
    return key_.type != wire::ChannelType::usbredir;
}

void VmcDevice::port_event(std::uint8_t event) {
    using wire::port::PortEvent;
    if (static_cast<PortEvent>(event) == PortEvent::opened) opened_ = true;
    if (static_cast<PortEvent>(event) == PortEvent::closed) opened_ = false;
    if (channel_ != nullptr) channel_->send_event(event);
}

bool VmcDevice::attach(VmcChannel& channel) {
    if (channel_ != nullptr) return false;
    channel_ = &channel;
    port_.set_held(channel.expects_data());
    port_.device().set_connected(true);
    return true;
}

void VmcDevice::detach(VmcChannel& channel) {
    if (channel_ != &channel) return;
    channel_ = nullptr;
    beside_.reset();
    port_.forget(kClient);
    port_.set_held(false);
    port_.device().set_connected(false);
}

Result<> VmcDevice::write(SharedBytes bytes) {
    return port_.write(std::move(bytes), kClient, 1);
}

// Without a client, or while it takes nothing, the guest waits.
void VmcDevice::device_readable() {
    if (reading_) return;
    reading_ = true;
    while (channel_ != nullptr && channel_->has_room()) {
        Bytes bytes(kRead);
        const std::size_t size = port_.read(bytes);
        if (size == 0) break;
        bytes.resize(size);
        channel_->send_bytes(SharedBytes::take(std::move(bytes)));
    }
    reading_ = false;
}

void VmcDevice::device_has_room() {
    if (channel_ != nullptr) channel_->device_has_room();
}

wire::migration::CharDevice VmcDevice::capture() const {
    // No tokens are counted on these channels: stock writes it so.
    constexpr std::uint32_t kUnlimited = 0xffffffff;
    wire::migration::CharDevice state;
    state.connected = true;
    state.client_tokens = kUnlimited;
    state.send_tokens = kUnlimited;
    DevicePort::Unwritten unwritten = port_.capture(kClient);
    state.write_client_tokens = unwritten.tokens;
    state.write_data = SharedBytes::take(std::move(unwritten.bytes));
    return state;
}

void VmcDevice::take_state(const wire::migration::CharDevice& state) {
    // Without a client the device is closed, and begins anew.
    if (channel_ == nullptr || !channel_->is_held()) return;
    beside_ = state;
    beside_->write_data = SharedBytes::copy(state.write_data.contiguous().view());
}

void VmcDevice::use_state_beside() {
    if (const auto state = std::exchange(beside_, std::nullopt)) restore(*state);
}

void VmcDevice::restore(const wire::migration::CharDevice& state) {
    beside_.reset();
    const SharedBytes bytes = state.write_data.contiguous();
    port_.restore({Bytes(bytes.view().begin(), bytes.view().end()), state.write_client_tokens},
                  kClient);
}

}  // namespace segue::spice::server
