// SPDX-License-Identifier: LGPL-2.1-or-later
// The embedder's devices: our interfaces over its callback tables.
#pragma once

#include "spice/abi/spice_headers.h"
#include "spice/server/device.h"

namespace segue::spice::abi {

class QxlAdapter final : public server::DisplayDevice {
  public:
    explicit QxlAdapter(QXLInstance& instance);

    int id() const override { return instance_.id; }
    server::DisplayGeometry geometry() override;
    bool next_command(QXLCommandExt& command) override;
    bool next_cursor_command(QXLCommandExt& command) override;
    bool request_command_notice() override;
    bool request_cursor_notice() override;
    void release(QXLReleaseInfoExt info) override;
    void flush_released() override;
    void complete(std::uint64_t cookie) override;
    void updated(std::uint32_t surface, std::vector<QXLRect> rectangles) override;
    void set_client_capabilities(bool present, std::span<std::uint8_t, 58> caps) override;
    bool client_monitors_config(VDAgentMonitorsConfig* config) override;

  private:
    QXLInstance& instance_;
    const QXLInterface& interface_;
};

class KeyboardAdapter final : public server::KeyboardDevice {
  public:
    explicit KeyboardAdapter(SpiceKbdInstance& instance) : instance_(instance) {}
    void push_scancode(std::uint8_t byte) override;
    std::uint8_t leds() override;

  private:
    SpiceKbdInstance& instance_;
};

class MouseAdapter final : public server::MouseDevice {
  public:
    explicit MouseAdapter(SpiceMouseInstance& instance) : instance_(instance) {}
    void motion(int dx, int dy, int dz, std::uint32_t buttons) override;
    void buttons(std::uint32_t buttons) override;

  private:
    SpiceMouseInstance& instance_;
};

class TabletAdapter final : public server::TabletDevice {
  public:
    explicit TabletAdapter(SpiceTabletInstance& instance) : instance_(instance) {}
    void set_logical_size(int width, int height) override;
    void position(int x, int y, std::uint32_t buttons) override;
    void wheel(int motion, std::uint32_t buttons) override;
    void buttons(std::uint32_t buttons) override;

  private:
    SpiceTabletInstance& instance_;
};

class CharAdapter final : public server::CharDevice {
  public:
    explicit CharAdapter(SpiceCharDeviceInstance& instance);

    std::string subtype() const override;
    std::string port_name() const override;
    void set_connected(bool connected) override;
    int write(ByteView bytes) override;
    int read(std::span<std::uint8_t> into) override;
    void event(std::uint8_t event) override;
    bool notifies_writable() const override;

  private:
    SpiceCharDeviceInstance& instance_;
    const SpiceCharDeviceInterface& interface_;
};

class MigrationAdapter final : public server::MigrationObserver {
  public:
    explicit MigrationAdapter(SpiceMigrateInstance& instance) : instance_(instance) {}
    void connect_complete() override;
    void end_complete() override;

  private:
    SpiceMigrateInstance& instance_;
};

}  // namespace segue::spice::abi
