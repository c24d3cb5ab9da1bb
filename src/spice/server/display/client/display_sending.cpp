// SPDX-License-Identifier: LGPL-2.1-or-later
// The messages of a display channel: surfaces, monitors, images.
#include "base/log.h"
#include "spice/server/display/client/display_channel.h"
#include "spice/server/display/client/draw_base.h"
#include "spice/server/display/client/stale_rects.h"
#include "spice/server/display/encode/plain.h"
#include "spice/server/display/guest/drawing_plan.h"

namespace segue::spice::server {
namespace {

namespace display = wire::display;

// Repairs go in small pieces: what is drawn meanwhile must not wait for long.
constexpr std::int64_t kMostRepairPixels = 1 << 16;

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
        // Off screen, only what is copied from there is sent, and when.
        if (surface == nullptr || !is_shown(id) || !known.fits(*surface)) continue;
        if (!send_stale(*surface, known)) return;
    }
    send_repairs();
}

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
        if (surface != nullptr && known->second.fits(*surface)) {
            ++known;
            continue;
        }
        if (!has_room()) return;
        known = destroy_surface(known);
    }
    for (const auto& [id, surface] : guest_.surfaces().all()) {
        if (knowledge_.surfaces.count(id) != 0 || !is_shown(id)) continue;
        if (!has_room()) return;
        create_surface(surface);
    }
}

// What the client has of the surface, which is made there where it is not; null: there is no room.
SurfaceKnowledge* DisplayChannel::at_client(const Surface& surface) {
    const auto known = knowledge_.surfaces.find(surface.id);
    const bool is_there = known != knowledge_.surfaces.end();
    if (is_there && known->second.fits(surface)) return &known->second;
    if (!can_send()) return nullptr;
    if (is_there) destroy_surface(known);
    create_surface(surface);
    return &knowledge_.surfaces.at(surface.id);
}

// Returns what follows it in `knowledge`.
std::map<std::uint32_t, SurfaceKnowledge>::iterator DisplayChannel::destroy_surface(
    std::map<std::uint32_t, SurfaceKnowledge>::iterator known) {
    const std::uint32_t id = known->first;
    end_streams(id);
    copied_once_.erase(id);
    display::SurfaceDestroy message;
    message.surface_id = id;
    // A primary of unknown size that takes over: clients keep the window when the size agrees.
    const bool takes_over =
        id == 0 && known->second.width == 0 && guest_.surfaces().find(0) != nullptr;
    if (!takes_over) send(message);
    return knowledge_.surfaces.erase(known);
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
    // No client promises what a new surface shows.
    if (surface.is_blank) {
        send_plain(surface, surface.image.bounds(), canvas::Region(surface.image.bounds()), 0);
    } else {
        known.stale = canvas::Region(surface.image.bounds());
    }
    knowledge_.surfaces.insert_or_assign(surface.id, std::move(known));
}

// What of the guest's monitors there is to be seen: a head that leaves its surface is cut.
MonitorsConfig DisplayChannel::visible_monitors() const {
    MonitorsConfig visible;
    visible.most = guest_.monitors()->most;
    for (MonitorHead head : guest_.monitors()->heads) {
        const Surface* surface = guest_.surfaces().find(head.surface);
        if (surface == nullptr) continue;
        const auto width = static_cast<std::uint32_t>(surface->image.width());
        const auto height = static_cast<std::uint32_t>(surface->image.height());
        if (head.x >= width || head.y >= height) continue;
        head.width = std::min(head.width, width - head.x);
        head.height = std::min(head.height, height - head.y);
        visible.heads.push_back(head);
    }
    return visible;
}

void DisplayChannel::sync_monitors() {
    if (!guest_.monitors() || !has_room()) return;
    if (!setup().client_caps.has(display::Capability::monitors_config)) return;
    if (guest_.surfaces().find(0) == nullptr) return;
    if (guest_.are_monitors_provisional() && knowledge_.monitors) return;
    MonitorsConfig visible = visible_monitors();
    if (visible.heads.empty() || visible == knowledge_.monitors) return;
    display::MonitorsConfig message;
    message.max_allowed = visible.most;
    for (const MonitorHead& head : visible.heads) {
        display::Head made;
        made.monitor_id = head.id;
        made.surface_id = head.surface;
        made.x = head.x;
        made.y = head.y;
        made.width = head.width;
        made.height = head.height;
        made.flags = head.flags;
        message.heads.push_back(made);
    }
    knowledge_.monitors = std::move(visible);
    send(message);
}

// False: there was no room for all of it.
bool DisplayChannel::send_stale(const Surface& surface, SurfaceKnowledge& known) {
    known.stale.intersect(surface.image.bounds());
    send_frames(surface, known);
    canvas::Region images = known.stale;
    for (const auto& [id, stream] : knowledge_.streams) {
        if (stream.surface == surface.id && !leaves_) images.subtract(canvas::Region(stream.area));
    }
    if (!images.empty()) {
        for (const canvas::Rect& rect : rects_to_send(images)) {
            if (!has_room()) return false;
            if (!leaves_) find_video(surface, rect);
            for (const canvas::Rect& part : parts_of(surface, rect))
                send_image(surface, known, part, false);
        }
    }
    if (!known.marked && surface.id == 0) {
        if (!has_room()) return false;
        send(display::Mark{});
        known.marked = true;
    }
    return true;
}

std::vector<canvas::Rect> DisplayChannel::parts_of(const Surface& surface,
                                                   const canvas::Rect& rect) const {
    const PendingDrawings::Place place = surface.at(rect);
    std::vector<canvas::Rect> parts = encoder_.parts(*place.image, place.rect);
    const canvas::Point back{rect.left - place.rect.left, rect.top - place.rect.top};
    for (canvas::Rect& part : parts)
        part = shifted(part, back);
    return parts;
}

Result<EncodedImage> DisplayChannel::encode(const canvas::Image& picture, const canvas::Rect& rect,
                                            bool lossless) {
    const Instant begun = clock_.now();
    // What waits at the gate is copied there.
    const bool may_borrow = at_gate() == 0 && !(setup().gate && setup().gate->holds(true));
    Result<EncodedImage> encoded = encoder_.encode(picture, rect, lossless, may_borrow);
    encode_time_ += clock_.now() - begun;
    if (encoder_.dictionary() != nullptr)
        knowledge_.glz_last_image_id = encoder_.dictionary()->next_id();
    if (encoded && encoded->forgot_palette) {
        display::InvalPalette forget;
        forget.id = *encoded->forgot_palette;
        send(forget);
    }
    if (!encoded) {
        log_error("spice", "{}: an image is left out: {}", name_of(key()), encoded.error().message);
    }
    return encoded;
}

void DisplayChannel::send_image(const Surface& surface, SurfaceKnowledge& known,
                                const canvas::Rect& rect, bool lossless) {
    const PendingDrawings::Place place = surface.at(rect);
    if (const auto color = plain_color(*place.image, place.rect)) {
        send_plain(surface, rect, canvas::Region(rect), *color);
        known.sent(canvas::Region(rect), false);
        return;
    }
    Result<EncodedImage> encoded = encode(*place.image, place.rect, lossless);
    if (!encoded) return;  // it stays stale
    known.sent(canvas::Region(rect), encoded->lossy);
    display::DrawCopy message;
    message.base = base_of(surface.id, rect);
    message.source_area.right = static_cast<std::int32_t>(rect.width());
    message.source_area.bottom = static_cast<std::int32_t>(rect.height());
    message.source = std::move(encoded->image);
    message.rop = display::Ropd::op_put;
    message.scale_mode = display::ImageScaleMode::nearest;
    send(message);
}

void DisplayChannel::send_plain(const Surface& surface, const canvas::Rect& box,
                                const canvas::Region& region, std::uint32_t color) {
    display::DrawFill message;
    message.base = base_of(surface.id, box, region);
    message.brush.type = display::BrushType::solid;
    message.brush.color = color;
    message.rop = display::Ropd::op_put;
    send(message);
}

// --- Making exact what is not -------------------------------------------------------------------

bool DisplayChannel::has_lossy() const {
    return std::any_of(knowledge_.surfaces.begin(), knowledge_.surfaces.end(),
                       [](const auto& entry) { return !entry.second.lossy.empty(); });
}

void DisplayChannel::rest() {
    if (frozen_) return;  // the state that was told of its streams stays true
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
            if (!has_room()) return;
            send_image(*surface, known->second, rect, true);
            repairs.subtract(canvas::Region(rect));
        }
    }
}

}  // namespace segue::spice::server
