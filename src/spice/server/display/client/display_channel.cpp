// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/client/display_channel.h"

#include "base/log.h"
#include "spice/server/display/client/display_blob.h"
#include "spice/server/display/client/stale_rects.h"

namespace segue::spice::server {
namespace {

namespace display = wire::display;

// Messages between acknowledgements, as stock uses on a fast line.
constexpr std::uint32_t kAckWindow = 20;
// A region of more rectangles is sent as the images that cover it, not as a clipped operation.
constexpr std::size_t kMostClipRects = 64;

wire::Rect wire_rect(const canvas::Rect& rect) {
    wire::Rect made;
    made.top = rect.top;
    made.left = rect.left;
    made.bottom = rect.bottom;
    made.right = rect.right;
    return made;
}

display::DrawBase base_of(std::uint32_t surface, const canvas::Rect& box) {
    display::DrawBase base;
    base.surface_id = surface;
    base.box = wire_rect(box);
    base.clip.type = display::ClipType::none;
    return base;
}

// The box and, where it is not all of it, the region as a clip.
display::DrawBase base_of(std::uint32_t surface, const canvas::Rect& box,
                          const canvas::Region& region) {
    display::DrawBase base = base_of(surface, box);
    if (region.covers(box)) return base;
    base.clip.type = display::ClipType::rects;
    for (const canvas::Rect& rect : region.rects())
        base.clip.rects.push_back(wire_rect(rect));
    return base;
}

}  // namespace

struct DisplayChannel::Handler {
    DisplayChannel& channel;

    Result<> operator()(const display::Init& message) { return channel.init(message); }
    // Frames of video streams and GL scanouts are never sent: such reports mean nothing.
    Result<> operator()(const display::StreamReport&) { return {}; }
    Result<> operator()(const display::GlDrawDone&) { return {}; }
    Result<> operator()(const display::PreferredVideoCodecType&) { return {}; }
    Result<> operator()(const display::PreferredCompression& wanted) {
        EncoderOptions options = channel.encoder_.options();
        options.compression = static_cast<ImageCompression>(wanted.compression);
        channel.encoder_.set_options(options);
        return {};
    }
};

DisplayChannel::DisplayChannel(const ChannelSetup& setup, ChannelOutput& output,
                               const GuestDisplay& guest, const EncoderOptions& options)
    : Channel(setup, output), guest_(guest), encoder_(options) {
    if (!is_held()) return;
    for (const auto& [id, surface] : guest_.surfaces().all())
        drawn_while_held_[id] = canvas::Region(surface.image.bounds());
}

void DisplayChannel::start() {
    use_ack_window(kAckWindow);
}

Result<> DisplayChannel::handle(std::uint16_t number, const wire::SharedBytes& body) {
    return display::dispatch_from_client(number, body, Handler{*this});
}

Result<> DisplayChannel::init(const display::Init& message) {
    if (ready_ || expects_data())
        return fail(ErrorCode::protocol, "{}: a second DISPLAY_INIT", name_of(key()));
    knowledge_.pixmap_cache_id = message.pixmap_cache_id;
    knowledge_.pixmap_cache_size = message.pixmap_cache_size;
    knowledge_.glz_dictionary_id = message.glz_dictionary_id;
    knowledge_.glz_window =
        message.glz_window_size > 0 ? static_cast<std::uint32_t>(message.glz_window_size) : 0;
    ready_ = true;
    send(display::InvalAllPalettes{});
    pump();
    return {};
}

// --- What the guest half tells ------------------------------------------------------------------

void DisplayChannel::surface_created(std::uint32_t id) {
    // One that was there before under this id has no pixel in common with the new one.
    const auto known = knowledge_.surfaces.find(id);
    const Surface* surface = guest_.surfaces().find(id);
    if (surface == nullptr) return;
    const bool is_as_it_was = waits_for_machine_ && surface->has_kept_pixels &&
                              known != knowledge_.surfaces.end() && known->second.fits(*surface);
    if (known != knowledge_.surfaces.end() && !is_as_it_was)
        known->second.stale = canvas::Region(surface->image.bounds());
    if (is_held()) {
        drawn_while_held_[id] =
            surface->has_kept_pixels ? canvas::Region() : canvas::Region(surface->image.bounds());
    }
}

void DisplayChannel::drawn(const Drawing& drawing) {
    if (is_held()) drawn_while_held_[drawing.surface->id].unite(drawing.region);
    const auto found = knowledge_.surfaces.find(drawing.surface->id);
    if (found == knowledge_.surfaces.end()) return;
    SurfaceKnowledge& known = found->second;
    const bool direct = is_ready() && can_send() && known.fits(*drawing.surface);
    if (direct && drawing.kind == Drawing::Kind::fill && send_fill(drawing, known)) return;
    if (direct && drawing.kind == Drawing::Kind::move && send_move(drawing, known)) return;
    known.stale.unite(drawing.region);
}

bool DisplayChannel::send_fill(const Drawing& drawing, SurfaceKnowledge& known) {
    if (drawing.region.rects().size() > kMostClipRects) return false;
    display::DrawFill message;
    message.base = base_of(drawing.surface->id, drawing.region.extents(), drawing.region);
    message.brush.type = display::BrushType::solid;
    message.brush.color = drawing.color;
    message.rop = display::Ropd::op_put;
    send(message);
    known.stale.subtract(drawing.region);
    return true;
}

// Only where the client has what is moved.
bool DisplayChannel::send_move(const Drawing& drawing, SurfaceKnowledge& known) {
    const canvas::Rect source{drawing.from.x, drawing.from.y,
                              static_cast<std::int32_t>(drawing.from.x + drawing.box.width()),
                              static_cast<std::int32_t>(drawing.from.y + drawing.box.height())};
    if (drawing.region.rects().size() > kMostClipRects || known.stale.intersects(source) ||
        !drawing.surface->image.bounds().contains(source)) {
        return false;
    }
    display::CopyBits message;
    message.base = base_of(drawing.surface->id, drawing.box, drawing.region);
    message.source.x = drawing.from.x;
    message.source.y = drawing.from.y;
    send(message);
    known.stale.subtract(drawing.region);
    return true;
}

void DisplayChannel::machine_arrived() {
    if (!waits_for_machine_) return;
    waits_for_machine_ = false;
    pump();
}

bool DisplayChannel::shows_this_machine() const {
    const auto known = knowledge_.surfaces.find(0);
    const Surface* primary = guest_.surfaces().find(0);
    return known != knowledge_.surfaces.end() && primary != nullptr && known->second.fits(*primary);
}

void DisplayChannel::image_cache_reset() {
    if (is_ready()) send(display::InvalAllPixmaps{});
}

// --- Sending ------------------------------------------------------------------------------------

void DisplayChannel::pump() {
    if (!is_ready()) return;
    sync_surfaces();
    sync_monitors();
    for (auto& [id, known] : knowledge_.surfaces) {
        const Surface* surface = guest_.surfaces().find(id);
        if (surface != nullptr && known.fits(*surface) && !send_stale(*surface, known)) return;
    }
}

// Off-screen surfaces need not be at the client: what is drawn from them arrives as pixels.
bool DisplayChannel::is_shown(std::uint32_t surface) const {
    if (surface == 0) return true;
    if (!guest_.monitors()) return false;
    for (const MonitorHead& head : guest_.monitors()->heads) {
        if (head.surface == surface) return true;
    }
    return false;
}

void DisplayChannel::sync_surfaces() {
    for (auto known = knowledge_.surfaces.begin(); known != knowledge_.surfaces.end();) {
        const Surface* surface = guest_.surfaces().find(known->first);
        if (surface != nullptr && is_shown(known->first) && known->second.fits(*surface)) {
            ++known;
            continue;
        }
        if (!can_send()) return;
        display::SurfaceDestroy message;
        message.surface_id = known->first;
        // A surface of unknown size that takes over: clients keep the window when the size agrees.
        if (surface == nullptr || known->second.width != 0) send(message);
        known = knowledge_.surfaces.erase(known);
    }
    for (const auto& [id, surface] : guest_.surfaces().all()) {
        if (knowledge_.surfaces.count(id) != 0 || !is_shown(id)) continue;
        if (!can_send()) return;
        create_surface(surface);
    }
}

void DisplayChannel::create_surface(const Surface& surface) {
    display::SurfaceCreate message;
    message.surface_id = surface.id;
    message.width = static_cast<std::uint32_t>(surface.image.width());
    message.height = static_cast<std::uint32_t>(surface.image.height());
    message.format = static_cast<display::SurfaceFormat>(surface.format);
    if (surface.id == 0) message.flags = display::SurfaceFlags::primary;
    send(message);
    SurfaceKnowledge known;
    known.width = surface.image.width();
    known.height = surface.image.height();
    known.format = surface.format;
    known.stale = canvas::Region(surface.image.bounds());
    knowledge_.surfaces.insert_or_assign(surface.id, std::move(known));
}

void DisplayChannel::sync_monitors() {
    if (!guest_.monitors() || guest_.monitors() == knowledge_.monitors || !can_send()) return;
    if (!setup().client_caps.has(display::Capability::monitors_config)) return;
    const Surface* primary = guest_.surfaces().find(0);
    if (primary == nullptr) return;
    display::MonitorsConfig message;
    message.max_allowed = guest_.monitors()->most;
    for (const MonitorHead& head : guest_.monitors()->heads) {
        // A head that leaves its surface is cut to what there is of it.
        const Surface* surface = guest_.surfaces().find(head.surface);
        if (surface == nullptr) continue;
        const auto width = static_cast<std::uint32_t>(surface->image.width());
        const auto height = static_cast<std::uint32_t>(surface->image.height());
        if (head.x >= width || head.y >= height) continue;
        display::Head made;
        made.monitor_id = head.id;
        made.surface_id = head.surface;
        made.x = head.x;
        made.y = head.y;
        made.width = std::min(head.width, width - head.x);
        made.height = std::min(head.height, height - head.y);
        made.flags = head.flags;
        message.heads.push_back(made);
    }
    knowledge_.monitors = guest_.monitors();
    if (message.heads.empty()) return;
    send(message);
}

// False: there was no room for all of it.
bool DisplayChannel::send_stale(const Surface& surface, SurfaceKnowledge& known) {
    known.stale.intersect(surface.image.bounds());
    if (!known.stale.empty()) {
        for (const canvas::Rect& rect : rects_to_send(known.stale)) {
            if (!can_send()) return false;
            send_image(surface, rect);
            known.stale.subtract(canvas::Region(rect));
        }
    }
    if (!known.marked && surface.id == 0) {
        if (!can_send()) return false;
        send(display::Mark{});
        known.marked = true;
    }
    return true;
}

void DisplayChannel::send_image(const Surface& surface, const canvas::Rect& rect) {
    Result<display::Image> image = encoder_.encode(surface.image, rect);
    if (!image) {
        log_error("spice", "{}: an image is left out: {}", name_of(key()), image.error().message);
        return;
    }
    display::DrawCopy message;
    message.base = base_of(surface.id, rect);
    message.source_area.right = static_cast<std::int32_t>(rect.width());
    message.source_area.bottom = static_cast<std::int32_t>(rect.height());
    message.source = std::move(*image);
    message.rop = display::Ropd::op_put;
    message.scale_mode = display::ImageScaleMode::nearest;
    send(message);
}

// --- The hand-over ------------------------------------------------------------------------------

// Nothing that the client says here is lost without a flush mark, once its DISPLAY_INIT was read:
// it costs a whole round trip. And where the target has the state already, the client needs no more
// than to switch.
std::uint32_t DisplayChannel::migrate_flags() const {
    using wire::common::MigrateFlags;
    if (is_carried()) return 0;
    const MigrateFlags flush = ready_ ? MigrateFlags{} : MigrateFlags::need_flush;
    return static_cast<std::uint32_t>(flush | MigrateFlags::need_data_transfer);
}

std::optional<Bytes> DisplayChannel::carried_state(bool freeze) {
    if (!ready_ || is_migrating()) return std::nullopt;
    frozen_ = freeze;
    return migrate_data();
}

void DisplayChannel::thaw() {
    if (!frozen_) return;
    frozen_ = false;
    pump();
}

Bytes DisplayChannel::migrate_data() {
    return write_display_blob(knowledge_, messages_sent());
}

Result<> DisplayChannel::restore(const wire::SharedBytes& blob) {
    const DisplayBlob read = TRY(read_display_blob(blob));
    if (ready_) return {};  // it came too late: the client was sent everything
    set_serial(std::max(read.message_serial, messages_sent()));
    knowledge_ = read.knowledge;
    ready_ = true;
    // What the client kept of our predecessor's caches is not used again.
    send(display::InvalAllPixmaps{});
    send(display::InvalAllPalettes{});
    for (auto& [id, known] : knowledge_.surfaces) {
        // What the device showed before the machine came is no drawing of the machine.
        const Surface* surface = guest_.surfaces().find(id);
        const auto drawn = drawn_while_held_.find(id);
        if (surface != nullptr && known.fits(*surface) && drawn != drawn_while_held_.end())
            known.stale.unite(drawn->second);
    }
    drawn_while_held_.clear();
    return {};
}

}  // namespace segue::spice::server
