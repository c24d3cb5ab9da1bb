// SPDX-License-Identifier: LGPL-2.1-or-later
// A byte stream between a device of the guest and one client: USB redirection, a named port,
// webdav. Home thread, or the embedder's lock held.
#pragma once

#include <optional>

#include "spice/server/channel.h"
#include "spice/server/chardev/device_handle.h"
#include "spice/server/chardev/device_port.h"

namespace segue::spice::server {

class VmcChannel;

class VmcDevice final : public DeviceHandle, private DevicePort::Owner {
  public:
    VmcDevice(ChannelKey key, std::unique_ptr<CharDevice> device, Loop& loop);
    ~VmcDevice() override;

    ChannelKey key() const { return key_; }
    void set_running(bool running) { port_.set_running(running); }

    void wakeup() override { port_.wakeup(); }
    void port_event(std::uint8_t event) override;

    // --- For its channel -------------------------------------------------------------------------
    bool is_in_use() const { return channel_ != nullptr; }
    // False: another client has it.
    bool attach(VmcChannel& channel);
    void detach(VmcChannel& channel);
    Result<> write(wire::SharedBytes bytes);
    // The client's event of a port.
    void client_event(std::uint8_t event) { port_.device().event(event); }
    // The channel can send again.
    void room() { device_readable(); }
    void set_held(bool held) { port_.set_held(held); }
    bool is_full() const { return port_.is_full(); }
    bool is_port() const;
    const std::string& port_name() const { return port_name_; }
    bool is_opened() const { return opened_; }
    wire::migration::CharDevice capture() const;
    void restore(const wire::migration::CharDevice& state);
    // What came beside the client, for one that brings nothing.
    void take_state(const wire::migration::CharDevice& state);
    void use_state_beside();

  private:
    // As many bytes as one message carries.
    static constexpr std::size_t kRead = 64u << 10;
    // The client that uses it; there is one.
    static constexpr Payer kClient = 1;

    void device_readable() override;
    void device_took(Payer, std::uint32_t) override {}
    void device_has_room() override;

    const ChannelKey key_;
    const std::string port_name_;
    VmcChannel* channel_ = nullptr;
    bool opened_ = false;
    bool reading_ = false;
    std::optional<wire::migration::CharDevice> beside_;
    DevicePort port_;
};

}  // namespace segue::spice::server
