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
// The channel that restores the pixmap cache for all (there is one cache, of one channel, so far).
constexpr bool kFreezer = true;

migration::DisplayFixed fixed_of(const Knowledge& knowledge, std::uint64_t message_serial) {
    migration::DisplayFixed fixed;
    fixed.message_serial = message_serial;
    fixed.pixmap_cache_id = knowledge.pixmap_cache_id;
    fixed.pixmap_cache_size = knowledge.pixmap_cache_size;
    fixed.pixmap_cache_freezer = kFreezer;
    fixed.glz_dictionary_id = knowledge.glz_dictionary_id;
    fixed.glz_pixels = static_cast<std::uint32_t>(
        std::min<std::uint64_t>(knowledge.glz_window, migration::kGlzPixels));
    fixed.glz_encoders = kGlzEncoders;
    fixed.glz_last_image_id = knowledge.glz_last_image_id;
    return fixed;
}

extension::DisplayState extension_of(const Knowledge& knowledge) {
    extension::DisplayState state;
    for (const auto& [id, known] : knowledge.surfaces) {
        extension::SurfaceState surface;
        surface.id = id;
        surface.width = static_cast<std::uint32_t>(known.width);
        surface.height = static_cast<std::uint32_t>(known.height);
        surface.format = known.format;
        surface.marked = known.marked;
        canvas::Region stale = known.stale;
        if (stale.rects().size() > extension::kStaleRects) stale = canvas::Region(stale.extents());
        for (const canvas::Rect& rect : stale.rects()) {
            extension::StaleRect made;
            made.left = rect.left;
            made.top = rect.top;
            made.right = rect.right;
            made.bottom = rect.bottom;
            surface.stale.push_back(made);
        }
        state.surfaces.push_back(std::move(surface));
    }
    return state;
}

void take_fixed(const migration::DisplayFixed& fixed, DisplayBlob& blob) {
    blob.message_serial = fixed.message_serial;
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
        std::vector<canvas::Rect> rects;
        rects.reserve(surface.stale.size());
        for (const extension::StaleRect& rect : surface.stale)
            rects.push_back({rect.left, rect.top, rect.right, rect.bottom});
        known.stale = canvas::Region(std::span<const canvas::Rect>(rects));
        known.stale.intersect(canvas::Rect{0, 0, known.width, known.height});
    }
    return {};
}

}  // namespace

Bytes write_display_blob(const Knowledge& knowledge, std::uint64_t message_serial) {
    migration::Display state;
    state.fixed = fixed_of(knowledge, message_serial);
    for (const auto& [id, known] : knowledge.surfaces) {
        migration::SurfaceId surface;
        surface.id = id;
        state.list.surfaces.push_back(surface);
    }
    Bytes blob = wire::encode(0, state).body();
    const Bytes more = wire::encode(0, extension_of(knowledge)).body();
    blob.insert(blob.end(), more.begin(), more.end());
    return blob;
}

Result<DisplayBlob> read_display_blob(const wire::SharedBytes& bytes) {
    DisplayBlob blob;
    const auto state = TRY(wire::parse<migration::Display>(bytes));
    take_fixed(state.fixed, blob);
    const std::size_t size = wire::encode(0, state).body().size();
    const wire::SharedBytes rest =
        bytes.slice(std::min(size, bytes.size()), bytes.size() - std::min(size, bytes.size()));
    const bool is_ours =
        as_text(rest.view().first(std::min<std::size_t>(4, rest.size()))) == "SGDK";
    // With JPEG at the source each surface takes 20 bytes instead of 4; the size of the blob tells.
    const std::size_t more_when_lossy =
        state.list.surfaces.size() *
        (sizeof(migration::LossySurface) - sizeof(migration::SurfaceId));
    if (!is_ours && rest.size() == more_when_lossy && more_when_lossy > 0) {
        const auto lossy = TRY(wire::parse<migration::LossyDisplay>(bytes));
        for (const migration::LossySurface& surface : lossy.list.surfaces)
            blob.knowledge.surfaces[surface.id] = {};
        return blob;
    }
    for (const migration::SurfaceId& surface : state.list.surfaces)
        blob.knowledge.surfaces[surface.id] = {};
    if (rest.empty()) return blob;
    const auto more = TRY(wire::parse<extension::DisplayState>(rest));
    TRY(take_extension(more, blob.knowledge));
    return blob;
}

}  // namespace segue::spice::server
