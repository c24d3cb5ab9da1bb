// SPDX-License-Identifier: LGPL-2.1-or-later
// The client's end of a byte stream to a device: usbredir, port, webdav.
#pragma once

#include "spice/server/channel.h"
#include "spice/server/vmc/vmc_device.h"
#include "spice/wire/port.schema.h"
#include "spice/wire/spicevmc.schema.h"

namespace segue::spice::server {

class VmcChannel final : public Channel {
  public:
    // Less than this is not worth compressing; on this host nothing is.
    static constexpr std::size_t kCompressFrom = 1000;

    // `compress`: for a client on another host that can take it.
    VmcChannel(const ChannelSetup& setup, ChannelOutput& output, VmcDevice& device, bool compress);
    ~VmcChannel() override;

    void start() override;
    void on_room() override;

    // --- For its device --------------------------------------------------------------------------
    bool has_room() const { return can_send() && !is_held(); }
    void send_bytes(wire::SharedBytes bytes);
    void send_event(std::uint8_t event);
    void device_has_room();
    // Its connection may stay for a while: where nobody reads, nobody would see its end.
    void device_gone() {
        device_ = nullptr;
        hold_input(false);
    }

  private:
    Result<> handle(std::uint16_t number, const wire::SharedBytes& body) override;
    std::uint32_t migrate_flags() const override;
    Bytes migrate_data() override;
    Result<> restore(const wire::SharedBytes& blob) override;
    void go_without_data() override;
    void before_migrate() override;
    Result<> take(wire::SharedBytes bytes);
    Result<> take_compressed(const wire::spicevmc::CompressedData& message);

    VmcDevice* device_;
    const bool compress_;
    bool attached_ = false;
    bool gave_up_ = false;  // the state of another server did not come in time
};

}  // namespace segue::spice::server
