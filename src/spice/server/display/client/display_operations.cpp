// SPDX-License-Identifier: LGPL-2.1-or-later
// What the guest drew and the client can draw, too: it goes as the operation that it is.
#include "spice/server/display/client/display_channel.h"
#include "spice/server/display/client/draw_base.h"
#include "spice/server/display/client/stale_rects.h"

namespace segue::spice::server {
namespace {

namespace display = wire::display;

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

// False: the client lacks what was drawn.
bool DisplayChannel::send_operation(const Drawing& drawing) {
    const std::uint32_t id = drawing.surface->id;
    // Off screen, pixels may never be needed, and masks are not copied from.
    const bool is_of_use = drawing.kind != Drawing::Kind::pixels &&
                           canvas::bits_per_pixel(drawing.surface->image.format()) >= 16;
    if (!is_of_use && !is_shown(id)) return false;
    SurfaceKnowledge* const known = at_client(*drawing.surface);
    if (known == nullptr || in_stream(id, drawing.region)) return false;
    switch (drawing.kind) {
        case Drawing::Kind::fill: return send_fill(drawing, *known);
        case Drawing::Kind::move: return send_move(drawing, *known);
        case Drawing::Kind::image: return send_cached(drawing, *known);
        case Drawing::Kind::surface: return send_from_surface(drawing, *known);
        case Drawing::Kind::pixels:
        case Drawing::Kind::nothing: break;
    }
    return false;
}

bool DisplayChannel::send_fill(const Drawing& drawing, SurfaceKnowledge& known) {
    if (drawing.region.rects().size() > kMostClipRects) return false;
    send_plain(*drawing.surface, drawing.region.extents(), drawing.region, drawing.color);
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
    await_empty_images();
    if (knowledge_.images.use(id) && knowledge_.images.pixels_of(id) == pixels) {
        if (!use_images()) return std::nullopt;
        display::Image image;
        image.id = id;
        image.width = static_cast<std::uint32_t>(picture.width());
        image.height = static_cast<std::uint32_t>(picture.height());
        image.type = display::ImageType::from_cache;
        return image;
    }
    // One image must not drive out all others, and what would go as JPEG is better not kept.
    const std::uint64_t share = image_share();
    if (!can_send() || !may_use_images()) return std::nullopt;
    if (knowledge_.images.has(id) || pixels > share / 4 || encoder_.would_lose(picture))
        return std::nullopt;
    Result<EncodedImage> encoded = encode(picture, picture.bounds(), true);
    if (!encoded) return std::nullopt;
    forget_images(knowledge_.images.make_room(pixels, share));
    // Whoever emptied the cache meanwhile, the image goes: the client's dictionary counts on it.
    if (use_images()) {
        knowledge_.images.add(id, pixels);
        encoded->image.id = id;
        encoded->image.flags = display::ImageFlags::cache_me;
    }
    return std::move(encoded->image);
}

// --- Copies from surface to surface --------------------------------------------------------------

bool DisplayChannel::send_from_surface(const Drawing& drawing, SurfaceKnowledge& known) {
    const canvas::Rect& area = drawing.source_area;
    const Surface* source = guest_.surfaces().find(drawing.source);
    if (source == nullptr || source->id == drawing.surface->id) return false;
    if (drawing.region.rects().size() > kMostClipRects) return false;
    SurfaceKnowledge* const from = at_client(*source);
    if (from == nullptr || in_stream(source->id, canvas::Region(area))) return false;
    canvas::Region needed = drawing.region;
    needed.translate(area.left - drawing.box.left, area.top - drawing.box.top);
    if (!complete_source(*source, *from, needed)) return false;
    display::DrawCopy message;
    message.base = base_of(drawing.surface->id, drawing.box, drawing.region);
    message.source_area = wire_rect(area);
    message.source.type = display::ImageType::surface;
    message.source.width = static_cast<std::uint32_t>(source->image.width());
    message.source.height = static_cast<std::uint32_t>(source->image.height());
    display::SurfaceReference reference;
    reference.surface_id = source->id;
    message.source.data = reference;
    message.rop = display::Ropd::op_put;
    message.scale_mode = display::ImageScaleMode::nearest;
    send(message);
    known.sent(drawing.region, false);
    known.stale.unite(moved(from->stale, drawing, area));
    known.lossy.unite(moved(from->lossy, drawing, area));
    return true;
}

// What the client lacks of a surface off screen goes as pixels to where it is copied; it is worth
// having at the source when it is copied again as it was.
bool DisplayChannel::complete_source(const Surface& source, SurfaceKnowledge& known,
                                     const canvas::Region& needed) {
    canvas::Region lacking = known.stale;
    lacking.intersect(needed);
    if (lacking.empty()) return true;
    const bool is_mostly_lacking = is_mostly(lacking, needed.extents());
    if (is_shown(source.id)) return !is_mostly_lacking;
    if (is_mostly_lacking) {
        canvas::Region& once = copied_once_[source.id];
        canvas::Region first = lacking;
        first.subtract(once);
        once.unite(needed);
        once.simplify(kMostStaleRects);
        if (!first.empty()) return false;
    }
    for (const canvas::Rect& rect : rects_to_send(lacking)) {
        if (!can_send()) return false;
        send_image(source, known, rect, true);
    }
    return true;
}

}  // namespace segue::spice::server
