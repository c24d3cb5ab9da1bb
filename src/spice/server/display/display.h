// SPDX-License-Identifier: LGPL-2.1-or-later
// A display device and its worker thread: the guest half, the client half of each client, and the
// pointer. Calls come from the embedder's threads; those that answer at once wait for the worker,
// which itself waits for nobody.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "spice/server/channel_driver.h"
#include "spice/server/cursor/cursor_channel.h"
#include "spice/server/display/client/display_channel.h"
#include "spice/server/display/guest/guest_display.h"
#include "spice/server/linked_socket.h"
#include "spice/server/loop_thread.h"

namespace segue::spice::server {

class Display final : private DisplayListener {
  public:
    // Called on the home loop.
    struct Hooks {
        // The connection of a client's channel is over.
        std::function<void(LinkId link)> on_lost;
        // A client said what it prefers when its channel had been told to go to another server.
        std::function<void(LinkId link, ImageCompression wish)> on_late_wish;
        // A client's videos come so long before they are due.
        std::function<void(LinkId link, Duration lead)> on_video_lead;
        // A client that moves here uses its channel now.
        std::function<void(LinkId link)> on_came = [](LinkId) {};
    };
    // Home thread. `pending_total` is shared by the displays of a server.
    static Result<std::unique_ptr<Display>> make(
        std::unique_ptr<DisplayDevice> device, Loop& home, Hooks hooks,
        std::shared_ptr<PendingTotal> pending_total = std::make_shared<PendingTotal>(),
        const LoopMaker& make_loop = make_asio_loop);
    ~Display() override;

    DisplayDevice& device() { return *device_; }
    std::uint8_t id() const { return id_; }

    // --- The machine -----------------------------------------------------------------------------
    void start();
    // The machine has arrived from another host: it starts soon, or is paused.
    void expect_start();
    // Returns when the guest's memory is touched no more and holds everything that was drawn; never
    // waits for a client. What QEMU itself has queued, and what is sent, comes behind it.
    void stop();

    // --- What the guest's driver asks for (spice_qxl_*) ------------------------------------------
    void wakeup();
    void out_of_memory();
    void update_area(std::uint32_t surface, const QXLRect& area, std::span<QXLRect> dirty,
                     bool clear);
    void update_area_async(std::uint32_t surface, const QXLRect& area, bool clear,
                           std::uint64_t cookie);
    void add_slot(const MemorySlot& slot);
    void remove_slot(std::uint32_t group, std::uint32_t slot);
    void reset_slots();
    void create_primary(std::uint32_t id, const PrimarySurface& primary);
    void destroy_primary(std::uint32_t id);
    void destroy_surface(std::uint32_t id);
    void destroy_surfaces();
    void reset_image_cache();
    void reset_cursor();
    void load(std::vector<QXLCommandExt> commands);
    void driver_unload();
    // The work, then complete(cookie) to the device.
    void add_slot_async(const MemorySlot& slot, std::uint64_t cookie);
    void create_primary_async(std::uint32_t id, const PrimarySurface& primary,
                              std::uint64_t cookie);
    void destroy_primary_async(std::uint32_t id, std::uint64_t cookie);
    void destroy_surface_async(std::uint32_t id, std::uint64_t cookie);
    void destroy_surfaces_async(std::uint64_t cookie);
    void flush_surfaces_async(std::uint64_t cookie);
    void set_monitors_async(QXLPHYSICAL config, std::uint32_t group, std::uint64_t cookie);
    // No client of ours shows such a scanout: drawing is complete at once.
    void gl_draw_async(std::uint64_t cookie);
    void set_most_monitors(unsigned most);

    // --- Clients (home thread) -------------------------------------------------------------------
    // `follows_machine`: the client comes from another server, and its machine, too.
    // `caches` is the client's.
    void connect(LinkedSocket socket, const EncoderOptions& options,
                 std::shared_ptr<ClientCaches> caches, bool follows_machine);
    void disconnect(LinkId link);
    // The machine has gone. `carried`: the target has the state that tell_state() gave; else
    // the client is told when the device has shown the last that the machine drew.
    void migrate(LinkId link, bool carried);
    // What travels beside the client (see Channel), told on the worker; nothing to tell: never.
    struct Carried {
        Bytes state;
        Bytes shown;  // only of a frozen channel; empty: nothing to tell
        std::optional<ImageCompression> wish = std::nullopt;
    };
    void tell_state(LinkId link, bool freeze, std::function<void(Carried)> answer);
    void take_state(LinkId link, Carried carried);
    void seal_state(LinkId link, const StateKey& key);
    void expect_seal(LinkId link, const StateKey& key);
    // Clients' state comes beside them: they need not be waited for as long as their line is.
    void expect_state_beside();
    // Frozen channels go on.
    void thaw();
    // The state that the channel waits for is late: it goes on without.
    void stop_waiting(LinkId link);
    void set_encoding(const EncoderOptions& options);
    // The gate of a protected machine has moved.
    void leave_gate();
    struct Counters {
        std::uint64_t commands = 0;
        std::uint64_t images = 0;
        std::uint64_t raw_bytes = 0;
        std::uint64_t encoded_bytes = 0;
    };
    // Of those that are here.
    using Channels = std::map<LinkId, control::ChannelStatus>;
    // Since the display was made. The answer is called on the home loop, which does not wait for
    // the worker; it is dropped with the display.
    void ask_counters(std::function<void(const Counters&, const Channels&)> answer);

  private:
    Display(std::unique_ptr<DisplayDevice> device, Loop& home, Hooks hooks,
            const LoopMaker& make_loop);
    Result<> open(std::shared_ptr<PendingTotal> pending_total);

    void surface_created(const Surface& surface) override;
    void surface_destroyed(std::uint32_t surface) override;
    void drawn(const Drawing& drawing) override;
    void monitors_changed(const MonitorsConfig& config) override;
    void cursor_changed(const CursorCommand& command) override;
    void cursor_reset() override;
    void image_cache_reset() override;

    void async(std::uint64_t cookie, std::function<void()> work);
    void take_commands();
    std::vector<Transport::Gathering> gather();
    void look_again();
    void take_last_commands();
    void leave();
    void send_migrate(LinkId link, bool carried);
    void pump();
    void give_back_pending();
    void give_back_old();
    void pump_soon();
    bool must_yield();
    void rest();
    void lost(LinkId link);
    struct Client;
    void await_state(Client& client);
    void greet_those_at_home();
    void tell_capabilities();
    void report(const Result<>& done);
    static void count(const DisplayChannel& channel, Counters& counters);
    template <class Action>
    void for_displays(const Action& action);

    std::unique_ptr<DisplayDevice> device_;
    const std::uint8_t id_;
    Loop& home_;
    const Hooks hooks_;
    std::atomic<bool> wake_pending_{false};
    // Cleared when this object goes: tasks on the home loop look at it.
    std::shared_ptr<std::atomic<bool>> alive_ = std::make_shared<std::atomic<bool>>(true);
    // The home thread's: clients that are to be told once QEMU has looked at the screen again.
    std::vector<LinkId> leaving_;
    std::unique_ptr<Timer> leave_timer_;
    // What is shown is drawn by QEMU (a VGA, say), not by a driver of the guest's.
    std::atomic<bool> embedder_draws_{false};

    LoopThread worker_;
    // From here on: the worker's own.
    std::unique_ptr<GuestDisplay> guest_;
    std::unique_ptr<Timer> pump_timer_;
    std::unique_ptr<Timer> arrival_timer_;
    std::unique_ptr<Timer> rest_timer_;
    bool rest_pending_ = false;
    std::unique_ptr<Timer> draw_timer_;
    bool draw_is_due_ = false;
    Instant pending_since_{};
    std::unique_ptr<Timer> look_timer_;
    bool look_is_due_ = false;
    Duration look_after_{};         // none is due where it is beyond the last one
    std::uint64_t looked_at_ = 0;   // commands taken by then
    bool machine_arrived_ = false;  // it has run here for long enough to show itself
    bool machine_draws_ = false;    // it has drawn since it runs here
    bool pump_pending_ = false;
    Instant last_pump_{};
    bool more_commands_ = false;
    bool comes_beside_ = false;  // the clients' state
    unsigned most_monitors_ = 16;
    bool driver_tells_monitors_ = false;
    Counters gone_;  // of clients that have left
    struct Client {
        std::unique_ptr<ChannelDriver> driver;
        DisplayChannel* display = nullptr;  // one of the two
        CursorChannel* cursor = nullptr;
        // Destroyed first: a late state is given up.
        std::unique_ptr<Timer> patience;
    };
    std::map<LinkId, Client> clients_;
};

}  // namespace segue::spice::server
