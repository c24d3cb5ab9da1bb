// SPDX-License-Identifier: LGPL-2.1-or-later
// What the machine that embeds the server offers it: one abstract class per kind of device. The C
// ABI implements them over the callbacks of QEMU; tests implement them directly. Each class says on
// which thread it is called.
#pragma once

#include <spice/qxl_dev.h>
#include <spice/vd_agent.h>
#include <sys/socket.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace segue::spice::server {

// The geometry of a display device's memory (QXLDevInitInfo of spice-qxl.h).
struct DisplayGeometry {
    std::uint32_t slot_groups = 1;
    std::uint32_t slots = 1;
    std::uint8_t generation_bits = 0;
    std::uint8_t slot_id_bits = 0;
    std::uint32_t surfaces = 1;
};

// A range of the embedder's memory that guest addresses of one slot fall into.
struct MemorySlot {
    std::uint32_t group = 0;
    std::uint32_t slot = 0;
    std::uint32_t generation = 0;
    std::uintptr_t start = 0;
    std::uintptr_t end = 0;
    std::uint64_t address_delta = 0;
};

// The primary surface as the device describes it (QXLDevSurfaceCreate).
struct PrimarySurface {
    std::uint32_t width = 0;
    std::uint32_t height = 0;
    std::int32_t stride = 0;  // bytes; negative when line 0 stands last in memory
    std::uint32_t format = 0;
    bool mouse_mode = false;
    bool keep_data = false;
    QXLPHYSICAL memory = 0;
    std::uint32_t group = 0;
};

// A display device. Called on the worker thread of that device, except geometry() (home thread,
// once) and client_monitors_config() (home thread).
class DisplayDevice {
  public:
    virtual ~DisplayDevice() = default;
    virtual int id() const = 0;
    virtual DisplayGeometry geometry() = 0;
    // Fills the command and returns true, or false when the ring is empty. Never blocks.
    virtual bool next_command(QXLCommandExt& command) = 0;
    virtual bool next_cursor_command(QXLCommandExt& command) = 0;
    // Asks for a wake-up at the next command. False: there are commands already.
    virtual bool request_command_notice() = 0;
    virtual bool request_cursor_notice() = 0;
    // Exactly once per command that was taken.
    virtual void release(QXLReleaseInfoExt info) = 0;
    virtual void flush_released() = 0;
    virtual void complete(std::uint64_t cookie) = 0;
    virtual void updated(std::uint32_t surface, std::vector<QXLRect> rectangles) = 0;
    virtual void set_client_capabilities(bool present, std::span<std::uint8_t, 58> caps) = 0;
    // Null asks whether the device takes such configurations at all.
    virtual bool client_monitors_config(VDAgentMonitorsConfig* config) = 0;
};

class KeyboardDevice {
  public:
    virtual ~KeyboardDevice() = default;
    virtual void push_scancode(std::uint8_t byte) = 0;
    virtual std::uint8_t leds() = 0;
};

class MouseDevice {
  public:
    virtual ~MouseDevice() = default;
    virtual void motion(int dx, int dy, int dz, std::uint32_t buttons) = 0;
    virtual void buttons(std::uint32_t buttons) = 0;
};

class TabletDevice {
  public:
    virtual ~TabletDevice() = default;
    virtual void set_logical_size(int width, int height) = 0;
    virtual void position(int x, int y, std::uint32_t buttons) = 0;
    virtual void wheel(int motion, std::uint32_t buttons) = 0;
    virtual void buttons(std::uint32_t buttons) = 0;
};

// A character device of the guest: the agent's port, a USB redirection port, a named port.
class CharDevice {
  public:
    virtual ~CharDevice() = default;
    virtual std::string subtype() const = 0;
    virtual std::string port_name() const = 0;
    virtual void set_connected(bool connected) = 0;
    // How many bytes the device took, 0 when it is full, negative on error.
    virtual int write(ByteView bytes) = 0;
    virtual int read(std::span<std::uint8_t> into) = 0;
    virtual void event(std::uint8_t event) = 0;
    // The device calls wakeup() when it can take bytes again; otherwise the writer must poll.
    virtual bool notifies_writable() const = 0;
};

// Told when the parts of a migration that concern clients are over.
class MigrationObserver {
  public:
    virtual ~MigrationObserver() = default;
    virtual void connect_complete() = 0;
    virtual void end_complete() = 0;
};

// A linked socket, as management sees it (SpiceChannelEventInfo). The object stays at one address
// from its CONNECTED to its DISCONNECTED event.
struct PeerInfo {
    std::uint32_t connection_id = 0;
    std::uint8_t type = 0;
    std::uint8_t id = 0;
    bool tls = false;
    sockaddr_storage local{};
    sockaddr_storage remote{};
    socklen_t local_size = 0;
    socklen_t remote_size = 0;
};

enum class PeerEvent { connected = 1, initialized = 2, disconnected = 3 };

// Home thread.
class HostEvents {
  public:
    virtual ~HostEvents() = default;
    virtual void peer_event(PeerEvent event, const PeerInfo& peer) = 0;
};

}  // namespace segue::spice::server
