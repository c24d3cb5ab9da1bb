// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/guest/guest_display.h"

#include <spice/enums.h>

#include <algorithm>

#include "base/log.h"

namespace segue::spice::server {
namespace {

// More heads than a surface's monitors message may have (QXLRom has place for 64).
constexpr std::uint16_t kMostHeads = 64;
// A broken driver must not fill the log: after so many refusals only the count goes on.
constexpr std::uint64_t kMostRefusalLines = 20;

// Of what was drawn: more would cost each command more than looking at it all.
constexpr std::size_t kMostDrawnRects = 4096;

// A guest that goes on queueing while it asks must not keep the asker.
constexpr int kMostInDrain = 8192;

// Where memory is short, a command is refused like a bad one, and the guest has it back.
template <class Work>
Result<> contained(const Work& work) {
    try {
        return work();
    } catch (const std::exception& failure) {
        return fail(ErrorCode::no_memory, "guest command: {}", failure.what());
    }
}

// Each command starts with its release info; its address is what the device gets back.
Result<QXLReleaseInfoExt> release_info_of(const MemorySlots& slots, const QXLCommandExt& command) {
    std::uint8_t* at =
        TRY(slots.translate(command.group_id, command.cmd.data, sizeof(QXLReleaseInfo)));
    return QXLReleaseInfoExt{reinterpret_cast<QXLReleaseInfo*>(at), command.group_id};
}

}  // namespace

// A command that the guest has back at the end, unless somebody keeps it: once, whatever is thrown.
class GuestDisplay::Taken {
  public:
    Taken(DisplayDevice& device, QXLReleaseInfoExt info) : device_(device), info_(info) {}
    ~Taken() {
        if (!is_kept_) device_.release(info_);
    }
    Taken(const Taken&) = delete;
    Taken& operator=(const Taken&) = delete;

    QXLReleaseInfoExt info() const { return info_; }
    // The caller gives it back.
    QXLReleaseInfoExt keep() {
        is_kept_ = true;
        return info_;
    }

  private:
    DisplayDevice& device_;
    const QXLReleaseInfoExt info_;
    bool is_kept_ = false;
};

Result<std::unique_ptr<GuestDisplay>> GuestDisplay::make(DisplayDevice& device,
                                                         const DisplayGeometry& geometry,
                                                         DisplayListener& listener,
                                                         std::shared_ptr<PendingTotal> total) {
    MemorySlots slots = TRY(MemorySlots::make(geometry));
    return std::unique_ptr<GuestDisplay>(
        new GuestDisplay(device, std::move(slots), geometry.surfaces, listener, std::move(total)));
}

GuestDisplay::GuestDisplay(DisplayDevice& device, MemorySlots slots, std::uint32_t surfaces,
                           DisplayListener& listener, std::shared_ptr<PendingTotal> total)
    : device_(device),
      listener_(listener),
      slots_(std::move(slots)),
      surfaces_(
          surfaces, [this](const QXLReleaseInfoExt& info) { device_.release(info); },
          std::move(total)) {}

bool GuestDisplay::take_commands(int budget) {
    QXLCommandExt command;
    bool cursor_empty = false;
    bool empty = false;
    for (int taken = 0; taken < budget; ++taken) {
        if (!cursor_empty) {
            if (device_.next_cursor_command(command)) {
                take_cursor(command);
                continue;
            }
            cursor_empty = device_.request_cursor_notice();
            if (!cursor_empty) continue;
        }
        if (device_.next_command(command)) {
            take(command);
            continue;
        }
        empty = device_.request_command_notice();
        if (empty) return false;
    }
    return true;
}

void GuestDisplay::drain() {
    QXLCommandExt command;
    for (int taken = 0; running_ && taken < kMostInDrain && device_.next_command(command); ++taken)
        take(command);
}

void GuestDisplay::draw_pending() {
    for (const auto& [id, surface] : surfaces_.all())
        surface.drawn_image();
}

bool GuestDisplay::has_pending() const {
    return std::any_of(surfaces_.all().begin(), surfaces_.all().end(),
                       [](const auto& entry) { return !entry.second.pending.empty(); });
}

void GuestDisplay::set_running(bool running) {
    running_ = running;
    if (!running) draw_pending();
}

// What is pending may be views of memory that is about to be something else.
Result<> GuestDisplay::add_slot(const MemorySlot& slot) {
    draw_pending();
    return slots_.add(slot);
}

void GuestDisplay::remove_slot(std::uint32_t group, std::uint32_t slot) {
    draw_pending();
    slots_.remove(group, slot);
}

void GuestDisplay::reset_slots() {
    draw_pending();
    slots_.reset();
}

void GuestDisplay::take(const QXLCommandExt& command) {
    ++commands_taken_;
    const Result<QXLReleaseInfoExt> release = release_info_of(slots_, command);
    if (!release) {  // nothing that could be given back
        refused(release.error());
        return;
    }
    Taken taken(device_, *release);
    const Result<> done = contained([&] { return perform(command, taken); });
    if (!done) refused(done.error());
}

Result<> GuestDisplay::perform(const QXLCommandExt& command, Taken& taken) {
    const GuestMemory memory(slots_, command.group_id);
    switch (command.cmd.type) {
        case QXL_CMD_DRAW: {
            if ((command.flags & QXL_COMMAND_FLAG_COMPAT) != 0) {
                return fail(ErrorCode::no_support,
                            "guest drawing: a driver of before 2010 (compat mode)");
            }
            drawn(TRY(draw(memory, surfaces_, command.cmd.data)), taken);
            return {};
        }
        case QXL_CMD_SURFACE: return surface_command(memory, command.cmd.data, taken);
        case QXL_CMD_UPDATE: draw_pending(); return {};
        // MESSAGE is a line for a log.
        case QXL_CMD_MESSAGE:
        case QXL_CMD_NOP: return {};
        default:
            return fail(ErrorCode::protocol, "guest command: type {} does not exist",
                        +command.cmd.type);
    }
}

void GuestDisplay::drawn(Drawing drawing, Taken& taken) {
    if (drawing.kind == Drawing::Kind::nothing) return;
    Surface& surface = *drawing.surface;
    // A guest that never asks for it draws mostly where it has drawn before.
    if (!surface.drawn.covers(drawing.region.extents())) {
        surface.drawn.unite(drawing.region);
        surface.drawn.simplify(kMostDrawnRects);
    }
    listener_.drawn(drawing);
    surface.is_blank = false;
    if (!drawing.pending) return;
    drawing.pending->release = taken.info();
    surface.pending.add(std::move(*drawing.pending));
    taken.keep();
    if (surface.pending.is_full()) surface.drawn_image();
    if (surfaces_.are_full()) draw_pending();
}

Result<> GuestDisplay::surface_command(const GuestMemory& memory, QXLPHYSICAL address,
                                       Taken& taken) {
    const auto command = TRY(memory.read<QXLSurfaceCmd>(address));
    if (command.type == QXL_SURFACE_CMD_DESTROY) {
        if (surfaces_.find(command.surface_id) == nullptr) {
            return fail(ErrorCode::protocol, "guest surface {}: destroyed, but does not exist",
                        +command.surface_id);
        }
        erase_surface(command.surface_id);
        return {};
    }
    if (command.type != QXL_SURFACE_CMD_CREATE)
        return fail(ErrorCode::protocol, "guest surface: command {}", +command.type);
    const QXLSurface& made = command.u.surface_create;
    SurfaceMemory place;
    place.width = made.width;
    place.height = made.height;
    place.stride = made.stride;
    place.format = made.format;
    place.group = memory.group();
    place.address = made.data;
    Surface* surface = TRY(surfaces_.create(command.surface_id, place, slots_));
    surface->creator = taken.keep();
    surface->has_kept_pixels = loading_ || (command.flags & QXL_SURF_FLAG_KEEP_DATA) != 0;
    if (!surface->has_kept_pixels) make_blank(*surface);
    listener_.surface_created(*surface);
    return {};
}

void GuestDisplay::take_cursor(const QXLCommandExt& command) {
    ++commands_taken_;
    const Result<QXLReleaseInfoExt> release = release_info_of(slots_, command);
    if (!release) {
        refused(release.error());
        return;
    }
    Taken taken(device_, *release);
    const GuestMemory memory(slots_, command.group_id);
    const Result<> done = contained([&]() -> Result<> {
        apply_cursor(TRY(read_cursor_command(memory, command.cmd.data)), taken);
        return {};
    });
    if (!done) refused(done.error());
}

void GuestDisplay::apply_cursor(const CursorCommand& command, Taken& taken) {
    switch (command.kind) {
        case CursorCommand::Kind::set:
            cursor_.visible = command.visible;
            cursor_.x = command.x;
            cursor_.y = command.y;
            cursor_.shape = command.shape;
            if (cursor_creator_) device_.release(*cursor_creator_);
            cursor_creator_ = taken.keep();
            break;
        case CursorCommand::Kind::move:
            cursor_.visible = true;
            cursor_.x = command.x;
            cursor_.y = command.y;
            break;
        case CursorCommand::Kind::hide: cursor_.visible = false; break;
        case CursorCommand::Kind::trail:
            cursor_.trail_length = command.trail_length;
            cursor_.trail_frequency = command.trail_frequency;
            break;
    }
    listener_.cursor_changed(command);
}

void GuestDisplay::reset_cursor() {
    cursor_ = {};
    if (cursor_creator_) device_.release(*std::exchange(cursor_creator_, std::nullopt));
    listener_.cursor_reset();
}

Result<> GuestDisplay::create_primary(std::uint32_t id, const PrimarySurface& primary) {
    SurfaceMemory place;
    place.width = primary.width;
    place.height = primary.height;
    place.stride = primary.stride;
    place.format = primary.format;
    place.group = primary.group;
    place.address = primary.memory;
    Surface* surface = TRY(surfaces_.create(id, place, slots_));
    surface->has_kept_pixels = primary.keep_data;
    if (!primary.keep_data) make_blank(*surface);
    listener_.surface_created(*surface);
    return {};
}

void GuestDisplay::destroy_primary(std::uint32_t id) {
    drain();
    erase_surface(id);
}

void GuestDisplay::destroy_surface(std::uint32_t id) {
    drain();
    erase_surface(id);
}

void GuestDisplay::destroy_surfaces() {
    drain();
    // A driver begins with new memory then: what it had given comes back before.
    QXLCommandExt command;
    for (int taken = 0; running_ && taken < kMostInDrain && device_.next_cursor_command(command);
         ++taken)
        take_cursor(command);
    reset_cursor();
    while (!surfaces_.all().empty())
        erase_surface(surfaces_.all().begin()->first);
}

void GuestDisplay::erase_surface(std::uint32_t id) {
    Surface* surface = surfaces_.find(id);
    if (surface == nullptr) return;
    const std::optional<QXLReleaseInfoExt> creator = surface->creator;
    // Its memory may be looked at still, or become a surface again.
    surface->drawn_image();
    surfaces_.erase(id);
    if (creator) device_.release(*creator);
    listener_.surface_destroyed(id);
}

std::vector<QXLRect> GuestDisplay::update_area(std::uint32_t id, const QXLRect& area, bool clear) {
    drain();
    std::vector<QXLRect> dirty;
    Surface* surface = surfaces_.find(id);
    if (surface == nullptr) return dirty;
    surface->drawn_image();
    canvas::Region asked = surface->drawn;
    asked.intersect(canvas::Rect{area.left, area.top, area.right, area.bottom});
    for (const canvas::Rect& rect : asked.rects())
        dirty.push_back({rect.top, rect.left, rect.bottom, rect.right});
    if (clear) surface->drawn.subtract(asked);
    return dirty;
}

void GuestDisplay::load(std::span<const QXLCommandExt> commands) {
    loading_ = true;
    for (const QXLCommandExt& command : commands) {
        if (command.cmd.type == QXL_CMD_CURSOR) {
            take_cursor(command);
        } else if (command.cmd.type == QXL_CMD_SURFACE) {
            take(command);
        } else {
            refused(Error{ErrorCode::protocol, "a migrated device replays a drawing command"});
        }
    }
    loading_ = false;
}

Result<> GuestDisplay::set_monitors(std::uint32_t group, QXLPHYSICAL address, std::uint32_t most) {
    const GuestMemory memory(slots_, group);
    const auto header = TRY(memory.read<QXLMonitorsConfig>(address));
    if (header.count == 0 || header.count > kMostHeads) {
        return fail(ErrorCode::protocol, "guest monitors: {} heads, 1 to {} allowed", +header.count,
                    kMostHeads);
    }
    if (header.max_allowed != 0 && header.count > header.max_allowed) {
        return fail(ErrorCode::protocol, "guest monitors: {} heads, and it allows {} itself",
                    +header.count, +header.max_allowed);
    }
    const std::uint8_t* heads =
        TRY(memory.view(address + sizeof(QXLMonitorsConfig), header.count * sizeof(QXLHead)));
    MonitorsConfig config;
    config.most = header.max_allowed == 0
                      ? static_cast<std::uint16_t>(most)
                      : std::min(header.max_allowed, static_cast<std::uint16_t>(most));
    // The embedder may allow less than the driver knows.
    for (std::uint16_t at = 0; at < std::min(header.count, config.most); ++at) {
        QXLHead head;
        std::memcpy(&head, heads + at * sizeof head, sizeof head);
        config.heads.push_back(
            {head.id, head.surface_id, head.width, head.height, head.x, head.y, head.flags});
    }
    are_monitors_provisional_ = false;
    monitors_ = std::move(config);
    listener_.monitors_changed(*monitors_);
    return {};
}

void GuestDisplay::reset_monitors(std::uint32_t most, bool provisional) {
    const Surface* primary = surfaces_.find(0);
    if (primary == nullptr) return;
    MonitorsConfig config;
    config.most = static_cast<std::uint16_t>(most);
    config.heads.push_back({0, 0, static_cast<std::uint32_t>(primary->image.width()),
                            static_cast<std::uint32_t>(primary->image.height()), 0, 0, 0});
    are_monitors_provisional_ = provisional;
    monitors_ = std::move(config);
    listener_.monitors_changed(*monitors_);
}

void GuestDisplay::refused(const Error& error) {
    ++commands_refused_;
    if (commands_refused_ <= kMostRefusalLines) log_warning("spice", "{}", error.message);
}

}  // namespace segue::spice::server
