// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/display.h"

#include <utility>

#include "base/log.h"

namespace segue::spice::server {
namespace {

// Commands taken, and time spent with them, before the sockets of the worker, and QEMU where it
// waits for the worker, get their turn.
constexpr int kCommandsInARow = 512;
constexpr int kCommandsAtOnce = 4;
constexpr Duration kTurn = 10ms;
// While a guest draws without a pause, its clients are sent what is new at this pace.
constexpr Duration kFrame = 12ms;
// A surface that is replaced within this time is never seen as gone.
constexpr Duration kSurfaceGone = 60ms;
// A client's state that comes later than this after the link only adds knowledge (a hand-over
// through the client, with the machine running here already).
constexpr Duration kStatePatience = 2s;
// The same where it comes from server to server.
constexpr Duration kBesidePatience = 100ms;
// After the machine has begun to run here: its device sets its mode again within a refresh of QEMU.
constexpr Duration kArrival = 80ms;
// A machine that has arrived and does not run by then is paused, and its picture is the last one.
constexpr Duration kPausedArrival = 2s;
// What was sent with losses and stands still for this long is made exact.
constexpr Duration kRest = 1s;
// QEMU's displays look for what a machine has drawn each 30 ms, on the home loop's own clock: a
// timer of this length rings behind one such look, however late both are.
constexpr Duration kRefresh = 32ms;
// A guest has back at the latest then what it drew and nobody looked at.
constexpr Duration kLongestPending = 4s;
// After a guest's driver has drawn, its ring is looked at again unasked: at first after so long,
// then after twice as long each time.
constexpr Duration kFirstLook = 10ms;
constexpr Duration kLastLook = 1280ms;
// The group of QEMU's own memory; a guest's driver draws in that of the next.
constexpr std::uint32_t kEmbedderGroup = 0;
// A device that goes on giving commands must not keep QEMU.
constexpr int kMostLastCommands = 8192;

void widen(QXLRect& rect, const QXLRect& other) {
    rect = {std::min(rect.top, other.top), std::min(rect.left, other.left),
            std::max(rect.bottom, other.bottom), std::max(rect.right, other.right)};
}

}  // namespace

Result<std::unique_ptr<Display>> Display::make(std::unique_ptr<DisplayDevice> device, Loop& home,
                                               Hooks hooks,
                                               std::shared_ptr<PendingTotal> pending_total,
                                               const LoopMaker& make_loop) {
    std::unique_ptr<Display> display(
        new Display(std::move(device), home, std::move(hooks), make_loop));
    TRY(display->open(std::move(pending_total)));
    return display;
}

Display::Display(std::unique_ptr<DisplayDevice> device, Loop& home, Hooks hooks,
                 const LoopMaker& make_loop)
    : device_(std::move(device)),
      id_(static_cast<std::uint8_t>(device_->id())),
      home_(home),
      hooks_(std::move(hooks)),
      worker_(make_loop) {}

Result<> Display::open(std::shared_ptr<PendingTotal> pending_total) {
    guest_ =
        TRY(GuestDisplay::make(*device_, device_->geometry(), *this, std::move(pending_total)));
    pump_timer_ = worker_.loop().make_timer([this] { pump(); });
    arrival_timer_ = worker_.loop().make_timer([this] {
        machine_arrived_ = true;
        for_displays([](DisplayChannel& channel) { channel.machine_arrived(); });
        if (guest_->is_running()) return;
        // It is paused.
        for (auto& [link, client] : clients_) {
            if (client.cursor != nullptr) client.cursor->stop_waiting();
        }
    });
    rest_timer_ = worker_.loop().make_timer([this] { rest(); });
    draw_timer_ = worker_.loop().make_timer([this] { give_back_old(); });
    look_timer_ = worker_.loop().make_timer([this] {
        look_is_due_ = false;
        look_after_ *= 2;
        take_commands();
    });
    look_after_ = 2 * kLastLook;
    return worker_.start("SPICE Worker");
}

Display::~Display() {
    alive_->store(false);
    // The timers stay until the thread has ended: what was posted before may start them.
    worker_.call([this] { clients_.clear(); });
    worker_.stop();
}

// --- The machine --------------------------------------------------------------------------------

void Display::start() {
    worker_.post([this] {
        guest_->set_running(true);
        if (!machine_arrived_) arrival_timer_->start(kArrival);
        tell_capabilities();
        for (auto& [link, client] : clients_) {
            if (client.patience) await_state(client);
        }
        // What was queued before shows the device, not yet the machine.
        take_commands();
        machine_draws_ = false;
        greet_those_at_home();
    });
}

// A client whose picture is of this machine's size need not wait until the machine has been here
// for long: once it has drawn, or where it brought its pixels along, all that is shown is its own.
void Display::greet_those_at_home() {
    if (machine_arrived_ || !guest_->is_running()) return;
    const Surface* primary = guest_->surfaces().find(0);
    if (primary == nullptr || !(machine_draws_ || primary->has_kept_pixels)) return;
    for_displays([](DisplayChannel& channel) {
        if (!channel.is_held() && channel.shows_this_machine()) channel.machine_arrived();
    });
}

void Display::expect_start() {
    worker_.post([this] {
        if (!machine_arrived_ && !guest_->is_running()) arrival_timer_->start(kPausedArrival);
    });
}

// QEMU waits for the first part only. Whoever asks for a client's state asks the worker, too, and
// so behind the second; nobody waits for that.
void Display::stop() {
    bool has_run = false;
    worker_.call([&] {
        has_run = guest_->is_running();
        guest_->set_running(false);
    });
    worker_.post([this, has_run] {
        if (has_run) take_last_commands();
        // What clients lack then stays in their knowledge.
        pump();
    });
}

void Display::wakeup() {
    if (wake_pending_.exchange(true)) return;
    worker_.post([this] {
        wake_pending_.store(false);
        take_commands();
    });
}

// What the guest lacks stands in its ring, or is pending. It may ask once and wait for all of it:
// what is taken only later would come too late.
void Display::out_of_memory() {
    worker_.post([this] {
        const auto gathering = gather();
        take_commands();
        guest_->drain();
        give_back_pending();
    });
}

// QEMU gives a driver back a few dozens of commands at a time, and keeps what is less until it is
// told. What it has made itself it frees at once, and a display without a driver must not be told:
// QEMU ends then (ui/spice-display.c, interface_flush_resources).
void Display::give_back_pending() {
    guest_->draw_pending();
    if (guest_->is_running() && !embedder_draws_.load()) device_->flush_released();
}

// What was full has been drawn meanwhile: what waits then is younger than the timer.
void Display::give_back_old() {
    const Duration age = worker_.loop().now() - pending_since_;
    draw_is_due_ = guest_->has_pending() && age < kLongestPending;
    if (draw_is_due_) return draw_timer_->start(kLongestPending - age);
    give_back_pending();
}

void Display::take_commands() {
    if (!guest_->is_running()) return;
    const auto gathering = gather();
    const Instant end = worker_.loop().now() + kTurn;
    bool more = true;
    for (int taken = 0; more && taken < kCommandsInARow && worker_.loop().now() < end;
         taken += kCommandsAtOnce) {
        if (taken > 0 && worker_.is_awaited()) break;
        more = guest_->take_commands(kCommandsAtOnce);
    }
    if (more && !more_commands_) {
        more_commands_ = true;
        worker_.post([this] {
            more_commands_ = false;
            take_commands();
        });
    }
    if (!more) look_again();
    greet_those_at_home();
    const Duration since = worker_.loop().now() - last_pump_;
    if (!more && since >= kFrame) {
        pump();
    } else {
        pump_soon();
    }
}

// Who finds the ring empty says so in it, and looks once more; a driver that adds a command looks
// then whether it has to tell. In between each needs a memory barrier, and a guest under TCG has
// none where it has one processor (QEMU before 8.0): then neither sees the other, and the guest
// would wait for ever at a full ring. Stock asks only when it has found nothing for two seconds.
void Display::look_again() {
    if (embedder_draws_.load()) return;  // QEMU tells of its own drawings under a lock
    const std::uint64_t taken = guest_->commands_taken();
    if (taken != std::exchange(looked_at_, taken)) look_after_ = kFirstLook;
    if (look_after_ > kLastLook || std::exchange(look_is_due_, true)) return;
    look_timer_->start(look_after_);
}

// The commands of a driver stay in the guest's ring, which goes along with the machine; those that
// QEMU itself has made do not.
void Display::take_last_commands() {
    if (!embedder_draws_.load()) return;
    for (int taken = 0; taken < kMostLastCommands; taken += kCommandsAtOnce) {
        if (!guest_->take_commands(kCommandsAtOnce)) return;
    }
}

void Display::pump_soon() {
    if (pump_pending_) return;
    pump_pending_ = true;
    const Duration since = worker_.loop().now() - last_pump_;
    pump_timer_->start(since >= kFrame ? Duration{} : kFrame - since);
}

// Encoding a screen takes long, and who waits for the worker holds QEMU's lock.
bool Display::must_yield() {
    if (!worker_.is_awaited()) return false;
    pump_soon();
    return true;
}

// What the clients are sent in one turn goes together.
std::vector<Transport::Gathering> Display::gather() {
    std::vector<Transport::Gathering> made;
    made.reserve(clients_.size());
    for (auto& [link, client] : clients_)
        made.push_back(client.driver->gather());
    return made;
}

void Display::pump() {
    const auto gathering = gather();
    pump_pending_ = false;
    last_pump_ = worker_.loop().now();
    for (auto& [link, client] : clients_) {
        if (client.display != nullptr) {
            client.display->pump();
            if (!rest_pending_ && client.display->has_lossy()) {
                rest_pending_ = true;
                rest_timer_->start(kRest);
            }
        }
        if (client.cursor != nullptr) client.cursor->pump();
    }
}

void Display::rest() {
    rest_pending_ = false;
    for_displays([this](DisplayChannel& channel) {
        channel.rest();
        rest_pending_ |= channel.has_lossy();
    });
    if (rest_pending_) rest_timer_->start(kRest);
}

// --- What the guest's driver asks for -----------------------------------------------------------

void Display::report(const Result<>& done) {
    if (!done) log_warning("spice", "display {}: {}", id_, done.error().message);
}

// The guest waits for it, whatever becomes of the work.
void Display::async(std::uint64_t cookie, std::function<void()> work) {
    struct Completion {
        DisplayDevice& device;
        const std::uint64_t cookie;
        ~Completion() { device.complete(cookie); }
    };
    worker_.post([this, cookie, work = std::move(work)] {
        const Completion completion{*device_, cookie};
        work();
    });
}

void Display::update_area(std::uint32_t surface, const QXLRect& area, std::span<QXLRect> dirty,
                          bool clear) {
    worker_.call([&] {
        const std::vector<QXLRect> rects = guest_->update_area(surface, area, clear);
        for (std::size_t at = 0; at < dirty.size(); ++at)
            dirty[at] = at < rects.size() ? rects[at] : QXLRect{};
        // It has been told of all: the last place stands for those that find none.
        for (std::size_t at = dirty.size(); !dirty.empty() && at < rects.size(); ++at)
            widen(dirty.back(), rects[at]);
        pump_soon();
    });
}

void Display::update_area_async(std::uint32_t surface, const QXLRect& area, bool clear,
                                std::uint64_t cookie) {
    async(cookie, [this, surface, area, clear] {
        device_->updated(surface, guest_->update_area(surface, area, clear));
        pump_soon();
    });
}

void Display::add_slot(const MemorySlot& slot) {
    worker_.call([&] { report(guest_->add_slot(slot)); });
}
void Display::add_slot_async(const MemorySlot& slot, std::uint64_t cookie) {
    async(cookie, [this, slot] { report(guest_->add_slot(slot)); });
}
void Display::remove_slot(std::uint32_t group, std::uint32_t slot) {
    worker_.call([&] { guest_->remove_slot(group, slot); });
}
void Display::reset_slots() {
    worker_.call([&] { guest_->reset_slots(); });
}

void Display::create_primary(std::uint32_t id, const PrimarySurface& primary) {
    worker_.call([&] { report(guest_->create_primary(id, primary)); });
}
void Display::create_primary_async(std::uint32_t id, const PrimarySurface& primary,
                                   std::uint64_t cookie) {
    async(cookie, [this, id, primary] { report(guest_->create_primary(id, primary)); });
}
void Display::destroy_primary(std::uint32_t id) {
    worker_.call([&] { guest_->destroy_primary(id); });
}
void Display::destroy_primary_async(std::uint32_t id, std::uint64_t cookie) {
    async(cookie, [this, id] { guest_->destroy_primary(id); });
}
void Display::destroy_surface(std::uint32_t id) {
    worker_.call([&] { guest_->destroy_surface(id); });
}
void Display::destroy_surface_async(std::uint32_t id, std::uint64_t cookie) {
    async(cookie, [this, id] { guest_->destroy_surface(id); });
}
void Display::destroy_surfaces() {
    worker_.call([&] { guest_->destroy_surfaces(); });
}
void Display::destroy_surfaces_async(std::uint64_t cookie) {
    async(cookie, [this] { guest_->destroy_surfaces(); });
}
void Display::flush_surfaces_async(std::uint64_t cookie) {
    async(cookie, [this] {
        guest_->drain();
        guest_->draw_pending();
    });
}
void Display::gl_draw_async(std::uint64_t cookie) {
    async(cookie, [] {});
}

void Display::set_monitors_async(QXLPHYSICAL config, std::uint32_t group, std::uint64_t cookie) {
    async(cookie, [this, config, group] {
        const Result<> done = guest_->set_monitors(group, config, most_monitors_);
        driver_tells_monitors_ |= done.has_value();
        report(done);
        pump_soon();
    });
}

void Display::set_most_monitors(unsigned most) {
    worker_.post([this, most] { most_monitors_ = std::max(1u, most); });
}

void Display::driver_unload() {
    worker_.post([this] { driver_tells_monitors_ = false; });
}
void Display::reset_image_cache() {
    worker_.call([this] { guest_->reset_image_cache(); });
}
void Display::reset_cursor() {
    worker_.call([this] { guest_->reset_cursor(); });
}
void Display::load(std::vector<QXLCommandExt> commands) {
    worker_.call([&] { guest_->load(commands); });
}

// --- What the guest half tells ------------------------------------------------------------------

template <class Action>
void Display::for_displays(const Action& action) {
    for (auto& [link, client] : clients_) {
        if (client.display != nullptr) action(*client.display);
    }
}

void Display::surface_created(const Surface& surface) {
    if (surface.id == 0) {
        // A driver that tells its monitors tells those of its new screen, too: soon, or never.
        guest_->reset_monitors(most_monitors_, driver_tells_monitors_);
        embedder_draws_.store(surface.group == kEmbedderGroup);
    }
    for_displays([&](DisplayChannel& channel) { channel.surface_created(surface.id); });
    pump_soon();
}

void Display::surface_destroyed(std::uint32_t) {
    if (pump_pending_) return;
    pump_pending_ = true;
    pump_timer_->start(kSurfaceGone);
}

void Display::drawn(const Drawing& drawing) {
    machine_draws_ = guest_->is_running();
    if (drawing.pending && !guest_->has_pending()) pending_since_ = worker_.loop().now();
    if (drawing.pending && !std::exchange(draw_is_due_, true)) draw_timer_->start(kLongestPending);
    for_displays([&](DisplayChannel& channel) { channel.drawn(drawing); });
}

void Display::monitors_changed(const MonitorsConfig&) {
    pump_soon();
}

void Display::cursor_changed(const CursorCommand& command) {
    for (auto& [link, client] : clients_) {
        if (client.cursor != nullptr) client.cursor->changed(command);
    }
}

void Display::cursor_reset() {
    for (auto& [link, client] : clients_) {
        if (client.cursor != nullptr) client.cursor->reset();
    }
}

void Display::image_cache_reset() {
    for_displays([](DisplayChannel& channel) { channel.image_cache_reset(); });
}

// --- Clients ------------------------------------------------------------------------------------

void Display::connect(LinkedSocket socket, const EncoderOptions& options,
                      std::shared_ptr<ClientCaches> caches, bool follows_machine) {
    auto shared = std::make_shared<LinkedSocket>(std::move(socket));
    worker_.post([this, shared, options, caches = std::move(caches), follows_machine] {
        const LinkId link = shared->id;
        const ChannelSetup setup = shared->setup;
        Client& client = clients_[link];
        const auto make = [&](ChannelOutput& output) -> std::unique_ptr<Channel> {
            if (setup.key.type == wire::ChannelType::cursor) {
                // The guest half outlives its channels.
                const std::shared_ptr<const CursorState> state(std::shared_ptr<void>(),
                                                               &guest_->cursor());
                auto cursor = std::make_unique<CursorChannel>(setup, output, state);
                cursor->carry_state();
                client.cursor = cursor.get();
                return cursor;
            }
            auto display = std::make_unique<DisplayChannel>(setup, output, *guest_, options, caches,
                                                            worker_.loop().clock());
            client.display = display.get();
            if (follows_machine && !machine_arrived_) display->wait_for_machine();
            display->must_yield = [this] { return must_yield(); };
            display->on_late_wish = [this, link](ImageCompression wish) {
                home_.post([this, alive = alive_, link, wish] {
                    if (alive->load()) hooks_.on_late_wish(link, wish);
                });
            };
            display->on_video_lead = [this, link](Duration lead) {
                home_.post([this, alive = alive_, link, lead] {
                    if (alive->load()) hooks_.on_video_lead(link, lead);
                });
            };
            return display;
        };
        client.driver =
            std::make_unique<ChannelDriver>(worker_.loop(), std::move(shared->transport), make,
                                            [this, link](const std::string&) { lost(link); });
        client.driver->channel().on_first_message = [this, link] {
            home_.post([this, alive = alive_, link] {
                if (alive->load()) hooks_.on_came(link);
            });
        };
        client.driver->start();
        if (setup.expects_data) {
            client.patience = worker_.loop().make_timer([this, link] {
                const auto late = clients_.find(link);
                if (late != clients_.end()) late->second.driver->channel().stop_waiting();
            });
            if (guest_->is_running()) await_state(client);
        }
        if (client.display != nullptr) tell_capabilities();
    });
}

// Of the pointer there is none but beside the client.
void Display::await_state(Client& client) {
    if (client.cursor != nullptr && !comes_beside_) return client.cursor->stop_waiting();
    client.patience->start(comes_beside_ ? kBesidePatience : kStatePatience);
}

void Display::lost(LinkId link) {
    const auto found = clients_.find(link);
    if (found == clients_.end()) return;
    const bool was_display = found->second.display != nullptr;
    if (was_display) count(*found->second.display, gone_);
    clients_.erase(found);
    if (was_display) tell_capabilities();
    home_.post([this, alive = alive_, link] {
        if (alive->load()) hooks_.on_lost(link);
    });
}

void Display::count(const DisplayChannel& channel, Counters& counters) {
    counters.images += channel.encoder().images();
    counters.raw_bytes += channel.encoder().raw_bytes();
    counters.encoded_bytes += channel.encoder().encoded_bytes();
}

void Display::ask_counters(std::function<void(const Counters&, const Channels&)> answer) {
    worker_.post([this, answer = std::move(answer)] {
        Counters counters = gone_;
        counters.commands = guest_->commands_taken();
        for_displays([&](DisplayChannel& channel) { count(channel, counters); });
        Channels channels;
        for (const auto& [link, client] : clients_) {
            control::ChannelStatus& status = channels[link] = client.driver->status();
            if (client.display != nullptr) status.pictures = client.display->status();
        }
        home_.post(
            [answer, counters, channels = std::move(channels)] { answer(counters, channels); });
    });
}

void Display::disconnect(LinkId link) {
    worker_.post([this, link] { lost(link); });
}

void Display::migrate(LinkId link, bool carried) {
    if (carried || !embedder_draws_.load()) {
        worker_.post([this, link, carried] { send_migrate(link, carried); });
        return;
    }
    // What the machine drew last may stand in its device's memory only; and another server's
    // client is sent nothing of what has become black there.
    leaving_.push_back(link);
    if (!leave_timer_) leave_timer_ = home_.make_timer([this] { leave(); });
    leave_timer_->start(kRefresh);
}

void Display::leave() {
    worker_.post([this, links = std::exchange(leaving_, {})] {
        take_last_commands();
        for (const LinkId link : links)
            send_migrate(link, false);
    });
}

void Display::send_migrate(LinkId link, bool carried) {
    const auto found = clients_.find(link);
    if (found == clients_.end()) return;
    Channel& channel = found->second.driver->channel();
    if (carried) channel.set_carried();
    channel.migrate();
}

void Display::tell_state(LinkId link, bool freeze, std::function<void(Carried)> answer) {
    worker_.post([this, link, freeze, answer = std::move(answer)] {
        const auto found = clients_.find(link);
        if (found == clients_.end()) return;
        Channel& channel = found->second.driver->channel();
        std::optional<Bytes> state = channel.carried_state(freeze);
        if (state) answer({std::move(*state), freeze ? channel.shown() : Bytes{}});
    });
}

void Display::take_state(LinkId link, Carried carried) {
    auto shared = std::make_shared<Carried>(std::move(carried));
    worker_.post([this, link, shared] {
        const auto found = clients_.find(link);
        if (found == clients_.end()) return;
        Channel& channel = found->second.driver->channel();
        if (shared->wish && found->second.display != nullptr)
            found->second.display->take_late_wish(*shared->wish);
        Result<> taken;
        if (!shared->shown.empty())
            taken = channel.take_shown(wire::SharedBytes::take(std::move(shared->shown)));
        if (taken && !shared->state.empty())
            taken = channel.take_state(wire::SharedBytes::take(std::move(shared->state)));
        // The client's own copy may still come; without it the client is sent everything.
        if (!taken) {
            log_warning("spice", "{}: {}", name_of(channel.key()), taken.error().message);
            if (found->second.cursor != nullptr) channel.stop_waiting();
        }
        greet_those_at_home();
    });
}

void Display::seal_state(LinkId link, const StateKey& key) {
    worker_.post([this, link, key] {
        const auto found = clients_.find(link);
        if (found != clients_.end()) found->second.driver->channel().seal_state(key);
    });
}

void Display::expect_seal(LinkId link, const StateKey& key) {
    worker_.post([this, link, key] {
        const auto found = clients_.find(link);
        if (found != clients_.end()) found->second.driver->expect_seal(key);
    });
}

void Display::expect_state_beside() {
    worker_.post([this] { comes_beside_ = true; });
}

void Display::thaw() {
    worker_.post([this] {
        for (auto& [link, client] : clients_)
            client.driver->channel().thaw();
    });
}

void Display::stop_waiting(LinkId link) {
    worker_.post([this, link] {
        const auto found = clients_.find(link);
        if (found != clients_.end()) found->second.driver->channel().stop_waiting();
    });
}

void Display::leave_gate() {
    worker_.post([this] {
        for (auto& [link, client] : clients_) {
            if (client.driver) client.driver->leave_gate();
        }
    });
}

void Display::set_encoding(const EncoderOptions& options) {
    worker_.post([this, options] {
        for_displays([&](DisplayChannel& channel) { channel.set_options(options); });
    });
}

// The guest's driver may use what all clients can show, and wants to know that there is one.
void Display::tell_capabilities() {
    if (!guest_->is_running()) return;
    std::array<std::uint8_t, 58> caps{};
    bool present = false;
    for_displays([&](DisplayChannel& channel) {
        std::array<std::uint8_t, 58> own{};
        const std::vector<std::uint32_t>& words = channel.setup().client_caps.words();
        for (std::size_t at = 0; at < own.size() && at / 4 < words.size(); ++at)
            own[at] = static_cast<std::uint8_t>(words[at / 4] >> (8 * (at % 4)));
        for (std::size_t at = 0; at < caps.size(); ++at)
            caps[at] = present ? caps[at] & own[at] : own[at];
        present = true;
    });
    device_->set_client_capabilities(present, caps);
}

}  // namespace segue::spice::server
