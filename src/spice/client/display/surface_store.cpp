// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/client/display/surface_store.h"

#include <cstring>
#include <utility>

namespace segue::spice::client {

Result<> SurfaceStore::create(std::uint32_t id, canvas::Format format, std::uint32_t width,
                              std::uint32_t height, bool primary) {
    if (const auto known = surfaces_.find(id); known != surfaces_.end()) {
        if (primary != is_primary(id)) {
            return fail(ErrorCode::protocol, "surface {} is created again as {} one", id,
                        primary ? "the primary" : "an off-screen");
        }
        const canvas::Image& image = known->second.own;
        if (primary && image.format() == format &&
            image.width() == static_cast<std::int32_t>(width) &&
            image.height() == static_cast<std::int32_t>(height))
            return {};
        TRY(destroy(id));
    }
    const std::int64_t pixels = std::int64_t{width} * height;
    if (surfaces_.size() >= kMaxSurfaces || !budget_.take(pixels)) {
        return fail(ErrorCode::limit_exceeded,
                    "surfaces: at most {} of together {} pixels are kept for a server, and no "
                    "more than the session's memory has room for",
                    kMaxSurfaces, SurfaceBudget::kMaxPixels);
    }
    auto made = canvas::Image::create(format, width, height);
    if (!made) {
        budget_.give_back(pixels);
        return tl::unexpected(made.error());
    }
    canvas::Image image = std::move(*made);
    const Hold lock = hold();
    if (primary) {
        primary_ = id;
        covered_ = {};
        damage_ = canvas::Region(image.bounds());
    }
    pixels_ += pixels;
    surfaces_.emplace(id, Surface{std::move(image), nullptr});
    return {};
}

Result<> SurfaceStore::destroy(std::uint32_t id) {
    const auto found = surfaces_.find(id);
    if (found == surfaces_.end()) {
        return fail(ErrorCode::protocol, "surface {} is destroyed and does not exist", id);
    }
    const Hold lock = hold();
    drop_borrowed(found->second);
    const std::int64_t pixels = pixels_of(found->second.own);
    pixels_ -= pixels;
    budget_.give_back(pixels);
    surfaces_.erase(found);
    if (is_primary(id)) primary_.reset();
    return {};
}

Result<canvas::Image*> SurfaceStore::find(std::uint32_t id) {
    canvas::Image* own = TRY(find_shape(id));
    Surface& surface = surfaces_.at(id);
    if (surface.borrowed) {
        const Hold lock = hold();
        take_over_borrowed(surface);
    }
    return own;
}

Result<canvas::Image*> SurfaceStore::find_shape(std::uint32_t id) {
    const auto found = surfaces_.find(id);
    if (found == surfaces_.end()) {
        return fail(ErrorCode::protocol, "surface {} does not exist", id);
    }
    return &found->second.own;
}

bool SurfaceStore::borrow(std::uint32_t id, canvas::SharedImage picture) {
    const Hold lock = hold();
    Surface& surface = surfaces_.at(id);
    // It counts beside the surface's own pixels: the cache that it came from may forget it first.
    const std::int64_t pixels = pixels_of(surface.own);
    if (!surface.borrowed && !budget_.take(pixels)) return false;
    if (!surface.borrowed) pixels_ += pixels;
    surface.borrowed = std::move(picture);
    return true;
}

void SurfaceStore::show_own(std::uint32_t id) {
    const Hold lock = hold();
    drop_borrowed(surfaces_.at(id));
}

void SurfaceStore::drop_borrowed(Surface& surface) {
    if (!std::exchange(surface.borrowed, nullptr)) return;
    pixels_ -= pixels_of(surface.own);
    budget_.give_back(pixels_of(surface.own));
}

void SurfaceStore::take_over_borrowed(Surface& surface) {
    if (!surface.borrowed) return;
    const canvas::Image& picture = *surface.borrowed;
    for (std::int32_t y = 0; y < picture.height(); ++y)
        std::memcpy(surface.own.line(y), picture.line(y), picture.line_bytes());
    drop_borrowed(surface);
}

void SurfaceStore::clear(bool keep_picture) {
    const Hold lock = hold();
    if (!keep_picture) {
        drop_kept();
    } else if (primary_ && kept_.empty()) {
        Surface& surface = surfaces_.at(*primary_);
        take_over_borrowed(surface);
        kept_ = std::move(surface.own);
        pixels_ -= pixels_of(kept_);
    }
    surfaces_.clear();
    budget_.give_back(std::exchange(pixels_, 0));
    primary_.reset();
    covered_ = {};
}

void SurfaceStore::drop_kept() {
    budget_.give_back(pixels_of(kept_));
    kept_ = {};
}

void SurfaceStore::drawn(const canvas::Region& region) {
    // A list of many small parts costs more than their box.
    constexpr std::size_t kMaxParts = 64;
    damage_.unite(region);
    if (damage_.rects().size() > kMaxParts) damage_ = canvas::Region(damage_.extents());
    if (kept_.empty() || !primary_) return;
    covered_.unite(region);
    // A server whose machine has only just come shows a picture of its own until that is looked at:
    // one of another size is the machine's if it stays, which only complete() can say.
    const canvas::Rect bounds = surfaces_.at(*primary_).bounds();
    if (bounds == kept_.bounds() && covered_.covers(bounds)) complete();
}

void SurfaceStore::complete() {
    const Hold lock = hold();
    if (kept_.empty()) return;
    const canvas::Rect whole = canvas::bounding(
        kept_.bounds(), primary_ ? surfaces_.at(*primary_).bounds() : canvas::Rect{});
    drop_kept();
    covered_ = {};
    damage_ = canvas::Region(primary_ ? surfaces_.at(*primary_).bounds() : whole);
}

const canvas::Image* SurfaceStore::shown() const {
    if (!kept_.empty()) return &kept_;
    return primary_ ? &surfaces_.at(*primary_).pixels() : nullptr;
}

canvas::Region SurfaceStore::take_damage() {
    if (!kept_.empty()) return {};
    return std::exchange(damage_, {});
}

}  // namespace segue::spice::client
