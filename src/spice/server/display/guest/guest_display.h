// SPDX-License-Identifier: LGPL-2.1-or-later
// The guest half of a display: takes commands, draws into the surfaces as far as somebody looks,
// gives the commands back, and tells the client half what happened. It never waits for a client.
// Every call is on the device's worker thread.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "spice/server/device.h"
#include "spice/server/display/guest/cursor.h"
#include "spice/server/display/guest/draw.h"
#include "spice/server/display/guest/memslots.h"
#include "spice/server/display/guest/surfaces.h"

namespace segue::spice::server {

// One head of the guest's monitors configuration.
struct MonitorHead {
    std::uint32_t id = 0;
    std::uint32_t surface = 0;
    std::uint32_t width = 0;
    std::uint32_t height = 0;
    std::uint32_t x = 0;
    std::uint32_t y = 0;
    std::uint32_t flags = 0;
    friend bool operator==(const MonitorHead&, const MonitorHead&) = default;
};
struct MonitorsConfig {
    std::uint16_t most = 0;
    std::vector<MonitorHead> heads;
    friend bool operator==(const MonitorsConfig&, const MonitorsConfig&) = default;
};

// What the pointer of this display is and where: all a new client needs.
struct CursorState {
    bool visible = true;
    std::int16_t x = 0;
    std::int16_t y = 0;
    std::uint16_t trail_length = 0;
    std::uint16_t trail_frequency = 0;
    std::shared_ptr<const CursorShape> shape;
};

// The client half, as the guest half sees it.
class DisplayListener {
  public:
    virtual ~DisplayListener() = default;
    virtual void surface_created(const Surface& surface) = 0;
    virtual void surface_destroyed(std::uint32_t surface) = 0;
    virtual void drawn(const Drawing& drawing) = 0;
    virtual void monitors_changed(const MonitorsConfig& config) = 0;
    virtual void cursor_changed(const CursorCommand& command) = 0;
    // The cursor is as it was before the first command.
    virtual void cursor_reset() = 0;
    virtual void image_cache_reset() = 0;
};

class GuestDisplay {
  public:
    // `pending_total` is shared by the displays of a server.
    static Result<std::unique_ptr<GuestDisplay>> make(
        DisplayDevice& device, const DisplayGeometry& geometry, DisplayListener& listener,
        std::shared_ptr<PendingTotal> pending_total = std::make_shared<PendingTotal>());

    // Takes commands until the rings are empty (false) or the budget is used up (true).
    bool take_commands(int budget);
    // Takes all that the guest has queued so far.
    void drain();
    // Draws what is pending on any surface, so that the guest has its commands back.
    void draw_pending();
    bool has_pending() const;
    // While the machine stands still its rings are not touched: they belong to its saved state, and
    // so do the pixels of its surfaces.
    void set_running(bool running);
    bool is_running() const { return running_; }

    Result<> add_slot(const MemorySlot& slot);
    void remove_slot(std::uint32_t group, std::uint32_t slot);
    void reset_slots();

    Result<> create_primary(std::uint32_t id, const PrimarySurface& primary);
    void destroy_primary(std::uint32_t id);
    void destroy_surface(std::uint32_t id);
    // All but none: the primary too.
    void destroy_surfaces();
    // What was drawn on the surface within the area since it was last asked (and cleared); the
    // surface shows it then.
    std::vector<QXLRect> update_area(std::uint32_t surface, const QXLRect& area, bool clear);
    // The commands that a migrated device remembers: surfaces and the cursor.
    void load(std::span<const QXLCommandExt> commands);
    Result<> set_monitors(std::uint32_t group, QXLPHYSICAL config, std::uint32_t most);
    // One that shows the whole primary surface. `provisional`: the driver is about to tell its own;
    // who was told some keeps those until then.
    void reset_monitors(std::uint32_t most, bool provisional = false);
    void reset_cursor();
    void reset_image_cache() { listener_.image_cache_reset(); }

    const Surfaces& surfaces() const { return surfaces_; }
    const CursorState& cursor() const { return cursor_; }
    const std::optional<MonitorsConfig>& monitors() const { return monitors_; }
    bool are_monitors_provisional() const { return are_monitors_provisional_; }
    std::uint64_t commands_taken() const { return commands_taken_; }
    std::uint64_t commands_refused() const { return commands_refused_; }

  private:
    GuestDisplay(DisplayDevice& device, MemorySlots slots, std::uint32_t surfaces,
                 DisplayListener& listener, std::shared_ptr<PendingTotal> pending_total);

    class Taken;
    void take(const QXLCommandExt& command);
    Result<> perform(const QXLCommandExt& command, Taken& taken);
    Result<> surface_command(const GuestMemory& memory, QXLPHYSICAL address, Taken& taken);
    void drawn(Drawing drawing, Taken& taken);
    void take_cursor(const QXLCommandExt& command);
    void apply_cursor(const CursorCommand& command, Taken& taken);
    void erase_surface(std::uint32_t id);
    void refused(const Error& error);

    DisplayDevice& device_;
    DisplayListener& listener_;
    MemorySlots slots_;
    Surfaces surfaces_;
    CursorState cursor_;
    // The command that set the current cursor: kept, for a migration replays it from guest memory.
    std::optional<QXLReleaseInfoExt> cursor_creator_;
    std::optional<MonitorsConfig> monitors_;
    bool are_monitors_provisional_ = false;
    bool running_ = false;
    bool loading_ = false;  // a migrated device replays its commands
    std::uint64_t commands_taken_ = 0;
    std::uint64_t commands_refused_ = 0;
};

}  // namespace segue::spice::server
