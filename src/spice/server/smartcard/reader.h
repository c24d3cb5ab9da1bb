// SPDX-License-Identifier: LGPL-2.1-or-later
// A smartcard reader of the guest (QEMU's ccid-card-passthru), and the client that puts a card into
// it. The device speaks libcacard's protocol in network order with itself as the only reader
// (vscard_common.h); the client's numbers name readers of the whole machine. Home thread, or the
// embedder's lock held.
#pragma once

#include <optional>

#include "spice/server/chardev/device_handle.h"
#include "spice/server/chardev/device_port.h"
#include "spice/wire/smartcard.schema.h"

namespace segue::spice::server {

class SmartcardChannel;

class SmartcardReader final : public DeviceHandle, private DevicePort::Owner {
  public:
    static constexpr std::size_t kHeader = 12;  // type, reader, length

    SmartcardReader(std::uint32_t id, std::unique_ptr<CharDevice> device, Loop& loop);
    ~SmartcardReader() override;

    std::uint32_t id() const { return id_; }
    void set_running(bool running);
    void wakeup() override { port_.wakeup(); }
    void port_event(std::uint8_t) override {}

    // --- For a channel ---------------------------------------------------------------------------
    bool is_in_use() const { return channel_ != nullptr; }
    void attach(SmartcardChannel& channel);
    void detach();
    bool is_added() const { return added_; }
    Result<> add();
    Result<> remove();
    Result<> pass(const wire::smartcard::Data& message);
    void room() { device_readable(); }
    void set_held(bool held);
    bool is_full() const { return port_.is_full(); }
    wire::migration::Smartcard capture() const;
    void restore(const wire::migration::Smartcard& state);

    // --- What comes beside the clients -----------------------------------------------------------
    // Used where no client brings it. Until that is known, and for kPatience while the machine
    // runs, the device is held.
    static constexpr Duration kPatience = 2s;
    void expect_state();
    // `somebody_comes`: a client that has not linked a channel for this reader still may.
    void take_state(const wire::migration::Smartcard& state, bool somebody_comes);
    // The client is here, and brings nothing.
    void use_state_beside();

  private:
    static constexpr Payer kClient = 1;
    // In the client's stead: what it had put in is taken out.
    void make_up_for_absent();
    void expect_no_more();
    void hold() { port_.set_held(client_comes_ || is_expected_); }
    Bytes bytes_of(std::uint32_t type, ByteView data) const;

    void device_readable() override;
    void drop_readable();
    void device_took(Payer, std::uint32_t) override {}
    void device_has_room() override;
    // The message at the front of what was read; an error: the device broke its protocol.
    Result<std::optional<wire::smartcard::Data>> next();
    Result<> write(std::uint32_t type, ByteView data, Payer payer);

    const std::uint32_t id_;
    SmartcardChannel* channel_ = nullptr;
    bool added_ = false;
    bool reading_ = false;
    bool broken_ = false;
    Bytes read_;
    bool running_ = false;
    bool client_comes_ = false;  // it is to bring its state
    bool is_expected_ = false;   // what comes beside the clients
    bool made_up_ = false;       // and was used: a client that brings it now is late
    std::optional<wire::migration::Smartcard> beside_;
    std::unique_ptr<Timer> patience_;
    DevicePort port_;
};

}  // namespace segue::spice::server
