// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/canvas/draw.h"
#include "spice/canvas/pixels.h"
#include "spice/canvas/scale.h"

namespace segue::spice::canvas {
namespace {

// The operation's number is its truth table: bit 4p + 2s + d is the result for these three bits.
template <class Pixel>
class TernaryTable {
  public:
    explicit TernaryTable(std::uint8_t operation) {
        for (int index = 0; index < 8; ++index)
            table_[index] = operation >> index & 1 ? static_cast<Pixel>(~Pixel{}) : Pixel{};
    }
    Pixel operator()(Pixel pattern, Pixel source, Pixel destination) const {
        const auto pick = [](Pixel by, Pixel one, Pixel zero) {
            return static_cast<Pixel>((by & one) | (~by & zero));
        };
        const Pixel with_pattern = pick(source, pick(destination, table_[7], table_[6]),
                                        pick(destination, table_[5], table_[4]));
        const Pixel without = pick(source, pick(destination, table_[3], table_[2]),
                                   pick(destination, table_[1], table_[0]));
        return pick(pattern, with_pattern, without);
    }

  private:
    Pixel table_[8];
};

template <class Pixel>
void apply(Image& target, const Region& region, const Image& source, Point shift,
           const Brush& brush, std::uint8_t operation) {
    const TernaryTable<Pixel> table(operation);
    const bool tiled = brush.kind == Brush::Kind::pattern;
    for (const Rect& rect : region.rects()) {
        for (std::int32_t y = rect.top; y < rect.bottom; ++y) {
            Pixel* to = pixels_of<Pixel>(target, y);
            const Pixel* from = pixels_of<Pixel>(source, y - shift.y);
            const Pixel* tile = nullptr;
            if (tiled) {
                tile = pixels_of<Pixel>(
                    *brush.tile,
                    tile_offset(std::int64_t{y} - brush.tile_origin.y, brush.tile->height()));
            }
            for (std::int32_t x = rect.left; x < rect.right; ++x) {
                const Pixel pattern = tiled
                                          ? tile[tile_offset(std::int64_t{x} - brush.tile_origin.x,
                                                             brush.tile->width())]
                                          : static_cast<Pixel>(brush.color);
                to[x] = table(pattern, from[x - shift.x], to[x]);
            }
        }
    }
}

// The source's pixels under the region, in a picture of their own: pixels it does not have are
// zero, and reading never sees writing.
Result<Image> source_under(const Rect& extents, const Image& target, const Rect& box,
                           const Source& source) {
    if (!same_size(source.area, box)) {
        const FittingSource fitting = TRY(FittingSource::make(target, *source.image));
        return scaled_from_rounded_corner({&fitting.image(), source.area, source.scale}, box,
                                          extents);
    }
    Image from = TRY(Image::create(target.format(), extents.width(), extents.height()));
    const std::int64_t left = std::int64_t{box.left} - extents.left;
    const std::int64_t top = std::int64_t{box.top} - extents.top;
    const Rect placed{coordinate(left), coordinate(top), coordinate(left + box.width()),
                      coordinate(top + box.height())};
    TRY(copy(from, Region(from.bounds()), placed, source, Rop::copy));
    return from;
}

}  // namespace

Result<> rop3(Image& target, const Region& region, const Rect& box, const Source& source,
              const Brush& brush, std::uint8_t operation) {
    if (region.empty()) return {};
    if (brush.kind == Brush::Kind::pattern &&
        (brush.tile == nullptr || !same_pixel_size(target, *brush.tile))) {
        return fail(ErrorCode::invalid_argument,
                    "a pattern of another pixel size than the surface");
    }
    const Rect extents = region.extents();
    const Image from = TRY(source_under(extents, target, box, source));
    with_pixel_type(target.format(), [&](auto zero) {
        apply<decltype(zero)>(target, region, from, {extents.left, extents.top}, brush, operation);
    });
    return {};
}

}  // namespace segue::spice::canvas
