// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/client/display_blob.h"

#include "spice/server/migration/extension.schema.h"
#include "spice/wire/encoding.h"
#include "spice/wire/migration.schema.h"

namespace segue::spice::server {
namespace {

namespace migration = wire::migration;
namespace extension = wire::extension;

// Encoders that may share a GLZ dictionary, as stock allots them.
constexpr std::uint32_t kGlzEncoders = 4;
// Where the list of surfaces begins, and the bytes of each surface in its two forms.
constexpr std::size_t kListStart = 80;
constexpr std::size_t kListed = 4;
constexpr std::size_t kLossyListed = 20;
// A region of more boxes is taken for all that they span.
constexpr std::size_t kMostBoxes = 1024;

ImageCompression compression_of(std::uint8_t number) {
    const bool is_known = number <= static_cast<std::uint8_t>(ImageCompression::lz4);
    return is_known ? static_cast<ImageCompression>(number) : ImageCompression::invalid;
}

migration::DisplayFixed fixed_of(const DisplayBlob& blob) {
    const Knowledge& knowledge = blob.knowledge;
    migration::DisplayFixed fixed;
    fixed.message_serial = blob.message_serial;
    fixed.low_bandwidth = knowledge.low_bandwidth;
    fixed.pixmap_cache_id = knowledge.pixmap_cache_id;
    fixed.pixmap_cache_size = knowledge.pixmap_cache_size;
    fixed.pixmap_cache_freezer = blob.is_freezer;
    fixed.pixmap_cache_clients = blob.image_uses;
    fixed.glz_dictionary_id = knowledge.glz_dictionary_id;
    fixed.glz_pixels = static_cast<std::uint32_t>(
        std::min<std::uint64_t>(knowledge.glz_window, migration::kGlzPixels));
    fixed.glz_encoders = kGlzEncoders;
    fixed.glz_last_image_id = knowledge.glz_last_image_id;
    return fixed;
}

// In the order of a region's boxes: behind the last one in its row, or in a row below.
bool follows(const canvas::Rect& rect, const canvas::Rect& last) {
    const bool is_in_row = rect.top == last.top && rect.bottom == last.bottom;
    return is_in_row ? rect.left >= last.right : rect.top >= last.bottom;
}

std::vector<extension::RegionRect> rects_of(canvas::Region region) {
    if (region.rects().size() > kMostBoxes) region = canvas::Region(region.extents());
    std::vector<extension::RegionRect> made;
    for (const canvas::Rect& rect : region.rects()) {
        extension::RegionRect one;
        one.left = rect.left;
        one.top = rect.top;
        one.right = rect.right;
        one.bottom = rect.bottom;
        made.push_back(one);
    }
    return made;
}

// The boxes as our servers write them: each cut to its surface before a region is made of them, and
// in rows from top to bottom, none over another. Boxes that cross each other would become as many
// as the product of their numbers.
Result<canvas::Region> region_of(const std::vector<extension::RegionRect>& from,
                                 const SurfaceKnowledge& surface) {
    const canvas::Rect bounds{0, 0, surface.width, surface.height};
    std::vector<canvas::Rect> rects;
    rects.reserve(from.size());
    for (const extension::RegionRect& one : from) {
        const canvas::Rect rect =
            canvas::intersection({one.left, one.top, one.right, one.bottom}, bounds);
        if (rect.empty()) continue;
        if (!rects.empty() && !follows(rect, rects.back())) {
            return fail(ErrorCode::protocol,
                        "display state: the boxes of a region are not in rows from top to bottom");
        }
        rects.push_back(rect);
    }
    canvas::Region made{std::span<const canvas::Rect>(rects)};
    // Two regions of many boxes each would have a union of more than both.
    return rects.size() > kMostBoxes ? canvas::Region(made.extents()) : std::move(made);
}

extension::DisplayState extension_of(const DisplayBlob& blob) {
    const Knowledge& knowledge = blob.knowledge;
    extension::DisplayState state;
    state.has_lossy_list = blob.has_lossy_list;
    for (const auto& [id, known] : knowledge.surfaces) {
        extension::SurfaceState surface;
        surface.id = id;
        surface.width = static_cast<std::uint32_t>(known.width);
        surface.height = static_cast<std::uint32_t>(known.height);
        surface.format = known.format;
        surface.marked = known.marked;
        surface.stale = rects_of(known.stale);
        surface.lossy = rects_of(known.lossy);
        state.surfaces.push_back(std::move(surface));
    }
    // What does not fit is only sent again.
    const auto& by_use = knowledge.images.by_use();
    auto at = by_use.begin();
    if (by_use.size() > extension::kCachedImages)
        std::advance(at, by_use.size() - extension::kCachedImages);
    for (; at != by_use.end(); ++at) {
        extension::CachedImage image;
        image.id = at->second;
        image.pixels = static_cast<std::uint32_t>(knowledge.images.pixels_of(at->second));
        state.images.push_back(image);
    }
    for (const auto& [id, known] : knowledge.streams) {
        extension::StreamState stream;
        stream.id = id;
        stream.surface = known.surface;
        stream.area = rects_of(canvas::Region(known.area)).front();
        stream.level = known.pace.level;
        stream.interval_ms = static_cast<std::uint32_t>(to_ms(known.pace.interval));
        stream.lead_ms = static_cast<std::uint32_t>(to_ms(known.pace.lead));
        state.streams.push_back(stream);
    }
    state.preferred_compression = static_cast<std::uint8_t>(knowledge.preferred_compression);
    return state;
}

void take_fixed(const migration::DisplayFixed& fixed, DisplayBlob& blob) {
    blob.message_serial = fixed.message_serial;
    blob.is_freezer = fixed.pixmap_cache_freezer;
    blob.image_uses = fixed.pixmap_cache_clients;
    blob.knowledge.low_bandwidth = fixed.low_bandwidth;
    blob.knowledge.pixmap_cache_id = fixed.pixmap_cache_id;
    blob.knowledge.pixmap_cache_size = fixed.pixmap_cache_size;
    blob.knowledge.glz_dictionary_id = fixed.glz_dictionary_id;
    blob.knowledge.glz_window = fixed.glz_pixels;
    blob.knowledge.glz_last_image_id = fixed.glz_last_image_id;
}

Result<> take_extension(const extension::DisplayState& state, Knowledge& knowledge) {
    for (const extension::SurfaceState& surface : state.surfaces) {
        const auto found = knowledge.surfaces.find(surface.id);
        if (found == knowledge.surfaces.end()) {
            return fail(ErrorCode::protocol, "display state: surface {} is described, not listed",
                        surface.id);
        }
        SurfaceKnowledge& known = found->second;
        known.width = static_cast<std::int32_t>(surface.width);
        known.height = static_cast<std::int32_t>(surface.height);
        known.format = surface.format;
        known.marked = surface.marked;
        known.stale = TRY(region_of(surface.stale, known));
        known.lossy = TRY(region_of(surface.lossy, known));
    }
    for (const extension::CachedImage& image : state.images)
        knowledge.images.add(image.id, image.pixels);
    for (const extension::StreamState& stream : state.streams) {
        const auto surface = knowledge.surfaces.find(stream.surface);
        if (surface == knowledge.surfaces.end()) continue;
        const canvas::Region area = TRY(region_of({stream.area}, surface->second));
        if (area.empty()) continue;
        const StreamRate::Pace pace{stream.level, std::chrono::milliseconds(stream.interval_ms),
                                    std::chrono::milliseconds(stream.lead_ms)};
        knowledge.streams[stream.id] = {stream.surface, area.extents(), pace};
    }
    knowledge.preferred_compression = compression_of(state.preferred_compression);
    return {};
}

}  // namespace

namespace {

Bytes write_lossy_list(const DisplayBlob& blob) {
    migration::LossyDisplay state;
    state.fixed = fixed_of(blob);
    for (const auto& [id, known] : blob.knowledge.surfaces) {
        migration::LossySurface surface;
        surface.id = id;
        const canvas::Rect extents = known.lossy.extents();
        surface.left = extents.left;
        surface.top = extents.top;
        surface.right = extents.right;
        surface.bottom = extents.bottom;
        state.list.surfaces.push_back(surface);
    }
    return wire::encode(0, state).body();
}

Bytes write_list(const DisplayBlob& blob) {
    migration::Display state;
    state.fixed = fixed_of(blob);
    for (const auto& [id, known] : blob.knowledge.surfaces) {
        migration::SurfaceId surface;
        surface.id = id;
        state.list.surfaces.push_back(surface);
    }
    return wire::encode(0, state).body();
}

// The size of what stands before the extension, by the number of surfaces.
std::size_t list_end(std::size_t surfaces, std::size_t each) {
    return kListStart + sizeof(std::uint32_t) + surfaces * each;
}

}  // namespace

Bytes write_display_blob(const DisplayBlob& blob) {
    Bytes bytes = blob.has_lossy_list ? write_lossy_list(blob) : write_list(blob);
    const Bytes more = wire::encode(0, extension_of(blob)).body();
    bytes.insert(bytes.end(), more.begin(), more.end());
    return bytes;
}

Result<DisplayBlob> read_display_blob(const wire::SharedBytes& bytes) {
    DisplayBlob blob;
    const auto state = TRY(wire::parse<migration::Display>(bytes));
    take_fixed(state.fixed, blob);
    const std::size_t count = state.list.surfaces.size();
    // With JPEG at the source each surface takes 20 bytes instead of 4. The first field of both is
    // the id, and what follows the list tells which it is: nothing, or our extension.
    const auto ends_at = [&](std::size_t end) {
        return end <= bytes.size() &&
               (end == bytes.size() ||
                as_text(bytes.view().subspan(end, std::min<std::size_t>(4, bytes.size() - end))) ==
                    "SGDK");
    };
    std::size_t end = list_end(count, kListed);
    if (!ends_at(end) && ends_at(list_end(count, kLossyListed))) {
        end = list_end(count, kLossyListed);
        blob.has_lossy_list = true;
        const auto lossy = TRY(wire::parse<migration::LossyDisplay>(bytes));
        for (const migration::LossySurface& surface : lossy.list.surfaces) {
            blob.knowledge.surfaces[surface.id].lossy = canvas::Region(
                canvas::Rect{surface.left, surface.top, surface.right, surface.bottom});
        }
    } else {
        for (const migration::SurfaceId& surface : state.list.surfaces)
            blob.knowledge.surfaces[surface.id] = {};
    }
    if (end >= bytes.size()) return blob;
    const auto more =
        TRY(wire::parse<extension::DisplayState>(bytes.slice(end, bytes.size() - end)));
    // With no surface, or with bytes that look like ours, the two lists cannot be told apart.
    if (count != 0 && more.has_lossy_list != blob.has_lossy_list) {
        return fail(ErrorCode::protocol,
                    "display state: {} surfaces {} rectangles, but the source says {}: JPEG must "
                    "be set alike at both servers",
                    count, blob.has_lossy_list ? "with" : "without",
                    more.has_lossy_list ? "with" : "without");
    }
    TRY(take_extension(more, blob.knowledge));
    blob.keeps_images = true;
    return blob;
}

}  // namespace segue::spice::server
