// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/canvas/geometry.h"

#include <pixman.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace segue::spice::canvas {
namespace {

static_assert(sizeof(pixman_box32_t) == sizeof(Rect));

pixman_region32_t* native_of(Region& region) {
    return static_cast<pixman_region32_t*>(region.native());
}
// pixman takes the regions that it only reads without const.
pixman_region32_t* native_of(const Region& region) {
    return static_cast<pixman_region32_t*>(const_cast<void*>(region.native()));
}
pixman_box32_t box_of(const Rect& rect) {
    return {rect.left, rect.top, rect.right, rect.bottom};
}

}  // namespace

std::int32_t coordinate(std::int64_t value) {
    return static_cast<std::int32_t>(std::clamp<std::int64_t>(value, INT32_MIN, INT32_MAX));
}

Rect intersection(const Rect& a, const Rect& b) {
    return {std::max(a.left, b.left), std::max(a.top, b.top), std::min(a.right, b.right),
            std::min(a.bottom, b.bottom)};
}

Rect bounding(const Rect& a, const Rect& b) {
    if (a.empty()) return b;
    if (b.empty()) return a;
    return {std::min(a.left, b.left), std::min(a.top, b.top), std::max(a.right, b.right),
            std::max(a.bottom, b.bottom)};
}

Region::Region() {
    static_assert(sizeof storage_ >= sizeof(pixman_region32_t));
    pixman_region32_init(native_of(*this));
}

Region::Region(const Rect& rect) {
    pixman_region32_init(native_of(*this));
    if (rect.empty()) return;
    pixman_box32_t box = box_of(rect);
    pixman_region32_reset(native_of(*this), &box);
}

Region::Region(std::span<const Rect> rects) {
    std::vector<pixman_box32_t> boxes;
    boxes.reserve(rects.size());
    for (const Rect& rect : rects) {
        if (!rect.empty()) boxes.push_back(box_of(rect));
    }
    if (!pixman_region32_init_rects(native_of(*this), boxes.data(),
                                    static_cast<int>(boxes.size()))) {
        pixman_region32_init(native_of(*this));
    }
}

Region::Region(const Region& other) {
    pixman_region32_init(native_of(*this));
    pixman_region32_copy(native_of(*this), native_of(other));
}

Region::Region(Region&& other) noexcept {
    pixman_region32_init(native_of(*this));
    std::swap(storage_, other.storage_);
}

Region& Region::operator=(Region other) noexcept {
    std::swap(storage_, other.storage_);
    return *this;
}

Region::~Region() {
    pixman_region32_fini(native_of(*this));
}

bool Region::empty() const {
    return !pixman_region32_not_empty(native_of(*this));
}

Rect Region::extents() const {
    const pixman_box32_t* box = pixman_region32_extents(native_of(*this));
    return {box->x1, box->y1, box->x2, box->y2};
}

std::span<const Rect> Region::rects() const {
    int count = 0;
    const pixman_box32_t* boxes = pixman_region32_rectangles(native_of(*this), &count);
    return {reinterpret_cast<const Rect*>(boxes), static_cast<std::size_t>(count)};
}

bool Region::contains(Point point) const {
    return pixman_region32_contains_point(native_of(*this), point.x, point.y, nullptr);
}

bool Region::covers(const Rect& rect) const {
    if (rect.empty()) return true;
    pixman_box32_t box = box_of(rect);
    return pixman_region32_contains_rectangle(native_of(*this), &box) == PIXMAN_REGION_IN;
}

bool Region::intersects(const Rect& rect) const {
    if (rect.empty()) return false;
    pixman_box32_t box = box_of(rect);
    return pixman_region32_contains_rectangle(native_of(*this), &box) != PIXMAN_REGION_OUT;
}

void Region::intersect(const Region& other) {
    pixman_region32_intersect(native_of(*this), native_of(*this), native_of(other));
}

void Region::intersect(const Rect& rect) {
    intersect(Region(rect));
}

void Region::unite(const Region& other) {
    pixman_region32_union(native_of(*this), native_of(*this), native_of(other));
}

void Region::unite(const Rect& rect) {
    unite(Region(rect));
}

void Region::subtract(const Region& other) {
    pixman_region32_subtract(native_of(*this), native_of(*this), native_of(other));
}

void Region::translate(std::int32_t dx, std::int32_t dy) {
    pixman_region32_translate(native_of(*this), dx, dy);
}

void Region::simplify(std::size_t most) {
    if (rects().size() <= most) return;
    constexpr std::int32_t kTile = 64;
    const Rect all = extents();
    const auto up = [](std::int32_t from, std::int32_t value, std::int32_t bound) {
        const std::int64_t tiles = (std::int64_t{value} - from + kTile - 1) / kTile;
        return static_cast<std::int32_t>(std::min<std::int64_t>(from + tiles * kTile, bound));
    };
    const auto down = [](std::int32_t from, std::int32_t value) {
        return static_cast<std::int32_t>(value - (std::int64_t{value} - from) % kTile);
    };
    std::vector<Rect> tiles;
    for (const Rect& rect : rects()) {
        const Rect tile{down(all.left, rect.left), down(all.top, rect.top),
                        up(all.left, rect.right, all.right), up(all.top, rect.bottom, all.bottom)};
        if (tiles.empty() || !tiles.back().contains(tile)) tiles.push_back(tile);
    }
    Region coarse(tiles);
    *this = coarse.rects().size() <= most ? std::move(coarse) : Region(all);
}

bool operator==(const Region& a, const Region& b) {
    return pixman_region32_equal(native_of(a), native_of(b));
}

}  // namespace segue::spice::canvas
