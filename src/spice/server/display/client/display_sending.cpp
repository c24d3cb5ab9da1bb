// SPDX-License-Identifier: LGPL-2.1-or-later
// The messages of a display channel: surfaces, monitors, operations that go as they are, images.
#include "base/log.h"
#include "spice/server/display/client/display_channel.h"
#include "spice/server/display/client/stale_rects.h"

namespace segue::spice::server {
namespace {

namespace display = wire::display;

// Repairs go in small pieces: what is drawn meanwhile must not wait for long.
constexpr std::int64_t kMostRepairPixels = 1 << 16;
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

// The same image of two displays has two ids in the cache that they share.
std::uint64_t id_at_client(std::uint64_t image, std::uint8_t channel) {
    return image ^ std::uint64_t{channel} << 8;
}

bool is_mostly(canvas::Region region, const canvas::Rect& rect) {
    region.intersect(rect);
    std::int64_t covered = 0;
    for (const canvas::Rect& part : region.rects())
        covered += part.width() * part.height();
    return covered * 2 > rect.width() * rect.height();
}

canvas::Rect source_of(const Drawing& move) {
    return {move.from.x, move.from.y, static_cast<std::int32_t>(move.from.x + move.box.width()),
            static_cast<std::int32_t>(move.from.y + move.box.height())};
}

// The part of a region that a move takes along, where it comes to lie.
canvas::Region moved(canvas::Region region, const Drawing& drawing, const canvas::Rect& source) {
    region.intersect(source);
    region.translate(drawing.box.left - source.left, drawing.box.top - source.top);
    region.intersect(drawing.region);
    return region;
}

}  // namespace

void DisplayChannel::on_room() {
    pump();
}

void DisplayChannel::pump() {
    if (!is_ready()) return;
    spare_what_is_shown();
    sync_surfaces();
    sync_monitors();
    for (auto& [id, known] : knowledge_.surfaces) {
        const Surface* surface = guest_.surfaces().find(id);
        if (surface != nullptr && known.fits(*surface) && !send_stale(*surface, known)) return;
    }
    send_repairs();
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
        end_streams(known->first);
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
    send_frames(surface, known);
    canvas::Region images = known.stale;
    for (const auto& [id, stream] : knowledge_.streams) {
        if (stream.surface == surface.id) images.subtract(canvas::Region(stream.area));
    }
    if (!images.empty()) {
        for (const canvas::Rect& rect : rects_to_send(images)) {
            if (!can_send()) return false;
            find_video(surface, rect);
            send_image(surface, known, rect, false);
        }
    }
    if (!known.marked && surface.id == 0) {
        if (!can_send()) return false;
        send(display::Mark{});
        known.marked = true;
    }
    return true;
}

Result<EncodedImage> DisplayChannel::encode(const canvas::Image& picture, const canvas::Rect& rect,
                                            bool lossless) {
    Result<EncodedImage> encoded = encoder_.encode(picture, rect, lossless);
    if (encoder_.dictionary() != nullptr)
        knowledge_.glz_last_image_id = encoder_.dictionary()->next_id();
    if (!encoded) {
        log_error("spice", "{}: an image is left out: {}", name_of(key()), encoded.error().message);
    }
    return encoded;
}

void DisplayChannel::send_image(const Surface& surface, SurfaceKnowledge& known,
                                const canvas::Rect& rect, bool lossless) {
    Result<EncodedImage> encoded = encode(surface.image, rect, lossless);
    known.sent(canvas::Region(rect), encoded && encoded->lossy);
    if (!encoded) return;
    display::DrawCopy message;
    message.base = base_of(surface.id, rect);
    message.source_area.right = static_cast<std::int32_t>(rect.width());
    message.source_area.bottom = static_cast<std::int32_t>(rect.height());
    message.source = std::move(encoded->image);
    message.rop = display::Ropd::op_put;
    message.scale_mode = display::ImageScaleMode::nearest;
    send(message);
}

// --- What goes as the operation that it is ------------------------------------------------------

bool DisplayChannel::send_fill(const Drawing& drawing, SurfaceKnowledge& known) {
    if (drawing.region.rects().size() > kMostClipRects) return false;
    display::DrawFill message;
    message.base = base_of(drawing.surface->id, drawing.region.extents(), drawing.region);
    message.brush.type = display::BrushType::solid;
    message.brush.color = drawing.color;
    message.rop = display::Ropd::op_put;
    send(message);
    known.sent(drawing.region, false);
    return true;
}

// What the client lacks of it, it lacks there, too; where that is the most of it, pixels are
// better.
bool DisplayChannel::send_move(const Drawing& drawing, SurfaceKnowledge& known) {
    const canvas::Rect source = source_of(drawing);
    if (drawing.region.rects().size() > kMostClipRects) return false;
    if (is_mostly(known.stale, source)) return false;
    if (in_stream(drawing.surface->id, canvas::Region(source))) return false;
    if (!drawing.surface->image.bounds().contains(source)) return false;
    display::CopyBits message;
    message.base = base_of(drawing.surface->id, drawing.box, drawing.region);
    message.source.x = drawing.from.x;
    message.source.y = drawing.from.y;
    send(message);
    // What was moved is as new and as exact as it was where it came from.
    const canvas::Region stale = moved(known.stale, drawing, source);
    const canvas::Region lossy = moved(known.lossy, drawing, source);
    known.sent(drawing.region, false);
    known.stale.unite(stale);
    known.lossy.unite(lossy);
    return true;
}

// An image that the guest will draw again: it goes once, and then by its name.
bool DisplayChannel::send_cached(const Drawing& drawing, SurfaceKnowledge& known) {
    if (drawing.region.rects().size() > kMostClipRects) return false;
    std::optional<display::Image> image = cached_image(drawing);
    if (!image) return false;
    display::DrawCopy message;
    message.base = base_of(drawing.surface->id, drawing.box, drawing.region);
    message.source_area = wire_rect(drawing.source_area);
    message.source = std::move(*image);
    message.rop = display::Ropd::op_put;
    message.scale_mode = display::ImageScaleMode::nearest;
    send(message);
    known.sent(drawing.region, false);
    return true;
}

std::optional<display::Image> DisplayChannel::cached_image(const Drawing& drawing) {
    const std::uint64_t id = id_at_client(drawing.image_id, key().id);
    const canvas::Image& picture = drawing.picture;
    const std::uint64_t pixels = std::uint64_t{static_cast<std::uint32_t>(picture.width())} *
                                 static_cast<std::uint32_t>(picture.height());
    if (knowledge_.images.use(id) && knowledge_.images.pixels_of(id) == pixels) {
        display::Image image;
        image.id = id;
        image.width = static_cast<std::uint32_t>(picture.width());
        image.height = static_cast<std::uint32_t>(picture.height());
        image.type = display::ImageType::from_cache;
        return image;
    }
    // One image must not drive out all others, and what would go as JPEG is better not kept.
    const std::uint64_t share = image_share();
    if (!can_send()) return std::nullopt;
    if (knowledge_.images.has(id) || pixels > share / 4 || encoder_.would_lose(picture))
        return std::nullopt;
    Result<EncodedImage> encoded = encode(picture, picture.bounds(), true);
    if (!encoded) return std::nullopt;
    forget_images(knowledge_.images.make_room(pixels, share));
    knowledge_.images.add(id, pixels);
    encoded->image.id = id;
    encoded->image.flags = display::ImageFlags::cache_me;
    return std::move(encoded->image);
}

// --- Making exact what is not -------------------------------------------------------------------

bool DisplayChannel::has_lossy() const {
    return std::any_of(knowledge_.surfaces.begin(), knowledge_.surfaces.end(),
                       [](const auto& entry) { return !entry.second.lossy.empty(); });
}

void DisplayChannel::rest() {
    end_idle_streams();
    for (auto& [id, known] : knowledge_.surfaces) {
        canvas::Region& resting = resting_[id];
        resting.intersect(known.lossy);
        repairs_[id] = std::exchange(resting, known.lossy);
    }
    pump();
}

// When nothing newer waits.
void DisplayChannel::send_repairs() {
    for (auto& [id, repairs] : repairs_) {
        const auto known = knowledge_.surfaces.find(id);
        const Surface* surface = guest_.surfaces().find(id);
        if (known == knowledge_.surfaces.end() || surface == nullptr ||
            !known->second.fits(*surface)) {
            repairs = {};
            continue;
        }
        repairs.intersect(known->second.lossy);
        if (repairs.empty()) continue;
        for (const canvas::Rect& rect : rects_to_send(repairs, kMostRepairPixels)) {
            if (!can_send()) return;
            send_image(*surface, known->second, rect, true);
            repairs.subtract(canvas::Region(rect));
        }
    }
}

}  // namespace segue::spice::server
