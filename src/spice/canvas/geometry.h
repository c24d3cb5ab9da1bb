// SPDX-License-Identifier: LGPL-2.1-or-later
// Points, rectangles and regions of a drawing surface, in pixels. Coordinates come from guests and
// servers: every function here accepts any value without overflow.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace segue::spice::canvas {

struct Point {
    std::int32_t x = 0;
    std::int32_t y = 0;
    friend bool operator==(const Point&, const Point&) = default;
};

// The coordinate nearest to a computed value.
std::int32_t coordinate(std::int64_t value);

// Half open: `right` and `bottom` lie outside. A rectangle with right <= left or bottom <= top is
// empty.
struct Rect {
    std::int32_t left = 0;
    std::int32_t top = 0;
    std::int32_t right = 0;
    std::int32_t bottom = 0;

    bool empty() const { return right <= left || bottom <= top; }
    std::int64_t width() const { return std::int64_t{right} - left; }
    std::int64_t height() const { return std::int64_t{bottom} - top; }
    bool contains(const Rect& inner) const {
        return inner.left >= left && inner.top >= top && inner.right <= right &&
               inner.bottom <= bottom;
    }
    friend bool operator==(const Rect&, const Rect&) = default;
};

Rect intersection(const Rect& a, const Rect& b);
// The smallest rectangle that holds both; an empty one adds nothing.
Rect bounding(const Rect& a, const Rect& b);

// A set of pixels as non-overlapping rectangles in bands from top to bottom, left to right.
class Region {
  public:
    Region();
    explicit Region(const Rect& rect);
    // The union of rectangles that may overlap.
    explicit Region(std::span<const Rect> rects);
    Region(const Region& other);
    Region(Region&& other) noexcept;
    Region& operator=(Region other) noexcept;
    ~Region();

    bool empty() const;
    Rect extents() const;
    // Valid until the region changes.
    std::span<const Rect> rects() const;
    bool contains(Point point) const;
    // True when every pixel of the rectangle is in the region.
    bool covers(const Rect& rect) const;
    bool intersects(const Rect& rect) const;

    void intersect(const Region& other);
    void intersect(const Rect& rect);
    void unite(const Region& other);
    void unite(const Rect& rect);
    void subtract(const Region& other);
    // Offsets and coordinates stay within ±2^30 by the caller's bounds; pixels that would leave the
    // 32-bit plane are dropped.
    void translate(std::int32_t dx, std::int32_t dy);
    // Where it has more rectangles than `most`: a few more pixels, within the same extents, so that
    // it has fewer.
    void simplify(std::size_t most);

    friend bool operator==(const Region& a, const Region& b);

    // The pixman_region32_t inside, for the .cpp files of this room.
    void* native() { return storage_; }
    const void* native() const { return storage_; }

  private:
    alignas(8) std::byte storage_[24];
};

}  // namespace segue::spice::canvas
