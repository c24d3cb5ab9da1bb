// SPDX-License-Identifier: LGPL-2.1-or-later
// The drawing operations of SPICE on pictures, in the exact pixels that stock's software canvas
// gives. Each takes the region it may touch, which `draw_region` makes; it never writes outside the
// target, whatever the other arguments are.
#pragma once

#include <span>
#include <vector>

#include "base/bytes.h"
#include "spice/canvas/image.h"
#include "spice/canvas/rop.h"

namespace segue::spice::canvas {

// A picture of one bit a pixel that further restricts what is drawn. `origin` is the mask's pixel
// that falls on the top left corner of the box.
struct Mask {
    const Image* bitmap = nullptr;  // null: no mask. Otherwise format a1
    bool inverted = false;
    Point origin;
};

// What paints: nothing, one colour in the target's own pixel value, or a tile that repeats from its
// origin in target coordinates.
struct Brush {
    enum class Kind : std::uint8_t { none, solid, pattern };
    Kind kind = Kind::none;
    std::uint32_t color = 0;
    const Image* tile = nullptr;
    Point tile_origin;
};

enum class ScaleMode : std::uint8_t { interpolate = 0, nearest = 1 };  // SpiceImageScaleMode

// The box inside the target, cut by the clip (null: no clip; empty: nothing is drawn).
Region draw_region(const Image& target, const Rect& box, const std::span<const Rect>* clip);

// The same, cut by a mask. A checkerboard would be a rectangle a pixel: where the mask is that fine
// it is left out of the region, and what it hides is to be put back by a Stencil.
struct DrawArea {
    Region region;
    bool needs_stencil = false;
};
DrawArea draw_area(const Image& target, const Rect& box, const std::span<const Rect>* clip,
                   const Mask& mask);

// What the target showed before it was drawn on, as if there were no mask.
class Stencil {
  public:
    // Before the drawing, with the region of its area. Errors: no_memory, limit_exceeded.
    static Result<Stencil> make(const Image& target, const Region& region);
    // After it: on the same target, with what the area was made of.
    void put_back(Image& target, const Rect& box, const Mask& mask) const;

  private:
    Region region_;
    std::int32_t top_ = 0;
    Image below_;
};

// DRAW_FILL, BLACKNESS (Rop::clear), WHITENESS (Rop::set) and INVERS (Rop::invert).
void fill(Image& target, const Region& region, const Brush& brush, Rop rop);

// A part of a picture, scaled when its size is not the box's.
struct Source {
    const Image* image = nullptr;
    Rect area;
    ScaleMode scale = ScaleMode::nearest;
};

// DRAW_COPY and DRAW_BLEND. Errors: limit_exceeded or no_memory for the temporary picture that a
// conversion or a scaled raster operation needs.
Result<> copy(Image& target, const Region& region, const Rect& box, const Source& source, Rop rop);

// DRAW_OPAQUE: the picture, and then the brush over it with `rop` between brush and picture.
Result<> opaque(Image& target, const Region& region, const Rect& box, const Source& source,
                const Brush& brush, Rop rop);

// COPY_BITS: the target's own pixels, moved so that `from` comes to the box's corner.
void copy_bits(Image& target, const Region& region, const Rect& box, Point from);

// DRAW_TRANSPARENT: all pixels but those of the colour 0x00RRGGBB.
Result<> transparent(Image& target, const Region& region, const Rect& box, const Source& source,
                     std::uint32_t color);

struct Alpha {
    std::uint8_t overall = 0xff;
    bool target_has_alpha = false;
    bool source_has_alpha = true;
};
// DRAW_ALPHA_BLEND: the picture over the target, times the overall alpha.
void alpha_blend(Image& target, const Region& region, const Rect& box, const Source& source,
                 const Alpha& alpha);

// DRAW_ROP3: a raster operation of pattern, source and destination; the table is the number itself.
Result<> rop3(Image& target, const Region& region, const Rect& box, const Source& source,
              const Brush& brush, std::uint8_t operation);

// One operand of DRAW_COMPOSITE; filter and repeat have pixman's numbers, which SPICE uses.
struct CompositeOperand {
    const Image* image = nullptr;
    Point origin;
    std::uint8_t filter = 0;
    std::uint8_t repeat = 0;
    bool opaque = false;
    bool component_alpha = false;
    bool transformed = false;
    std::int32_t transform[6] = {};  // 16.16 fixed point: two rows of an affine matrix
};
// DRAW_COMPOSITE: the Render extension's operation (pixman_op_t); mask.image may be null. A target
// has the alpha of its format: stock does not heed SPICE_COMPOSITE_DEST_OPAQUE.
// Errors: invalid_argument for an operation, filter or repeat that does not exist.
Result<> composite(Image& target, const Region& region, const Rect& box, std::uint8_t operation,
                   const CompositeOperand& source, const CompositeOperand& mask);

// One glyph of DRAW_TEXT: lines bottom up, padded to bytes; the highest bits are leftmost.
struct Glyph {
    Point position;
    Point origin;
    std::uint16_t width = 0;
    std::uint16_t height = 0;
    ByteView pixels;
};
struct Text {
    int glyph_bits = 1;  // 1, 4 or 8 bits a pixel
    std::vector<Glyph> glyphs;
    Rect back_area;
    Brush back_brush;
    Brush fore_brush;
};
// DRAW_TEXT. Errors: invalid_argument for a glyph whose pixels are too few.
Result<> text(Image& target, const Region& region, const Text& string);

// One subpath of DRAW_STROKE in 28.4 fixed point, as on the wire.
struct PathSegment {
    std::uint8_t flags = 0;  // SPICE_PATH_*: begin 1, end 2, close 8, bezier 16
    std::vector<Point> points;
};
struct Stroke {
    std::vector<PathSegment> path;
    std::vector<std::int32_t> dashes;  // 28.4; empty: a solid line
    bool start_with_gap = false;
    Brush brush;
    Rop rop = Rop::copy;
};
// DRAW_STROKE: lines one pixel wide without their last point. Errors: limit_exceeded for a path of
// more than kMaxStrokePoints points after its curves are divided, or for more than kMostStrokeSteps
// pixels inside the region's extents (points count, too): a fraction of a second's work.
inline constexpr std::size_t kMaxStrokePoints = std::size_t{1} << 16;
inline constexpr std::int64_t kMostStrokeSteps = std::int64_t{1} << 23;
Result<> stroke(Image& target, const Region& region, const Stroke& stroke);

}  // namespace segue::spice::canvas
