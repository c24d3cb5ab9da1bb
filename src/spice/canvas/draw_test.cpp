// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/canvas/draw.h"

#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "base/random.h"

namespace segue::spice::canvas {
namespace {

std::uint32_t& at(Image& image, int x, int y) {
    return reinterpret_cast<std::uint32_t*>(image.line(y))[x];
}
std::uint32_t get(const Image& image, int x, int y) {
    return reinterpret_cast<const std::uint32_t*>(image.line(y))[x];
}

Image make(int width, int height, const std::function<std::uint32_t(int, int)>& pixel,
           Format format = Format::xrgb32) {
    Image image = Image::create(format, width, height).value();
    for (int y = 0; y < height; ++y) {
        for (int x = 0; x < width; ++x)
            at(image, x, y) = pixel(x, y);
    }
    return image;
}
std::uint32_t numbered(int x, int y) {
    return static_cast<std::uint32_t>(0x010000 * y + x + 1);
}
Brush solid(std::uint32_t color) {
    Brush brush;
    brush.kind = Brush::Kind::solid;
    brush.color = color;
    return brush;
}

TEST(ImageTest, SizesBeyondTheBoundsAreErrors) {
    EXPECT_FALSE(Image::create(Format::xrgb32, 0, 5));
    EXPECT_FALSE(Image::create(Format::xrgb32, 5, kMaxSide + 1));
    EXPECT_FALSE(Image::create(Format::xrgb32, 32767, 32767));
    EXPECT_EQ(Image::create(Format::xrgb32, 1 << 30, 1 << 30).error().code,
              ErrorCode::limit_exceeded);
    EXPECT_TRUE(Image::create(Format::a1, 1, 1));
}

TEST(ImageTest, NegativeStridesAddressBottomUpMemory) {
    std::vector<std::uint32_t> memory = {1, 2, 3, 4};
    auto* last_line = reinterpret_cast<std::uint8_t*>(&memory[2]);
    Image image = Image::wrap(Format::xrgb32, 2, 2, -8, last_line);
    EXPECT_EQ(get(image, 0, 0), 3u);
    EXPECT_EQ(get(image, 1, 1), 2u);
    fill(image, Region(Rect{0, 0, 1, 1}), solid(9), Rop::copy);
    EXPECT_EQ(memory, (std::vector<std::uint32_t>{1, 2, 9, 4}));
}

TEST(RegionOfCommandTest, ClipAndBoundsCut) {
    const Image target = make(10, 10, numbered);
    EXPECT_EQ(draw_region(target, {-5, -5, 5, 5}, nullptr), Region(Rect{0, 0, 5, 5}));
    const Rect clips[] = {{0, 0, 2, 2}, {8, 8, 100, 100}};
    const std::span<const Rect> clip(clips);
    const Region region = draw_region(target, {INT32_MIN, INT32_MIN, INT32_MAX, INT32_MAX}, &clip);
    EXPECT_EQ(region.rects().size(), 2u);
    const std::span<const Rect> nothing;
    EXPECT_TRUE(draw_region(target, {0, 0, 5, 5}, &nothing).empty());
}

TEST(RegionOfCommandTest, MaskSelectsPixelsAndInverts) {
    const Image target = make(8, 8, numbered);
    Image bits = Image::create(Format::a1, 4, 4).value();
    bits.line(1)[0] = 0b0110;
    Mask mask{.bitmap = &bits, .origin = {1, 1}};
    // The mask's pixel (1, 1) falls on the box's corner (3, 3).
    EXPECT_EQ(draw_area(target, {3, 3, 8, 8}, nullptr, mask).region, Region(Rect{3, 3, 5, 4}));
    mask.inverted = true;
    Region expected(Rect{3, 3, 6, 6});
    expected.subtract(Region(Rect{3, 3, 5, 4}));
    EXPECT_EQ(draw_area(target, {3, 3, 8, 8}, nullptr, mask).region, expected);
    EXPECT_FALSE(draw_area(target, {3, 3, 8, 8}, nullptr, mask).needs_stencil);
    EXPECT_TRUE(draw_area(target, {INT32_MIN, 3, 8, 8}, nullptr, mask).region.empty());
}

// Every second pixel, and thus more runs than a region is made of.
Image checkerboard(std::int32_t side) {
    Image bits = Image::create(Format::a1, side, side).value();
    for (std::int32_t y = 0; y < side; ++y)
        std::memset(bits.line(y), y % 2 == 0 ? 0x55 : 0xaa, bits.line_bytes());
    return bits;
}

TEST(RegionOfCommandTest, AMaskLikeACheckerboardIsNoRegion) {
    constexpr std::int32_t kSide = 300;
    const Image bits = checkerboard(kSide);
    for (const Format format : {Format::a8, Format::rgb555, Format::xrgb32}) {
        for (const bool inverted : {false, true}) {
            Image target = make(kSide + 20, kSide + 20, numbered).converted(format).value();
            const Image before = target.copy().value();
            // The mask begins one pixel to the right of the box's corner, and ends before the box.
            const Rect box{7, 9, kSide + 20, kSide + 20};
            const Mask mask{.bitmap = &bits, .inverted = inverted, .origin = {-1, 0}};
            const Rect clips[] = {{0, 0, kSide, kSide}};
            const std::span<const Rect> clip(clips);
            const DrawArea area = draw_area(target, box, &clip, mask);
            ASSERT_TRUE(area.needs_stencil);
            EXPECT_EQ(area.region, Region(Rect{8, 9, kSide, kSide}));
            const Stencil stencil = Stencil::make(target, area.region).value();
            fill(target, area.region, {}, Rop::invert);
            stencil.put_back(target, box, mask);
            Image inverse = before.copy().value();
            fill(inverse, Region(inverse.bounds()), {}, Rop::invert);
            const std::size_t size = static_cast<std::size_t>(bits_per_pixel(format)) / 8;
            for (std::int32_t y = 0; y < target.height(); ++y) {
                for (std::int32_t x = 0; x < target.width(); ++x) {
                    const bool inside = area.region.contains({x, y});
                    const bool set = (x - 8 + y - 9) % 2 == 0;
                    const Image& expected = inside && set != inverted ? inverse : before;
                    const std::size_t at = static_cast<std::size_t>(x) * size;
                    ASSERT_EQ(std::memcmp(target.line(y) + at, expected.line(y) + at, size), 0)
                        << x << "," << y;
                }
            }
        }
    }
}

TEST(RegionOfCommandTest, AStencilKeepsSingleBits) {
    Image target = Image::create(Format::a1, 300, 300).value();
    const Image bits = checkerboard(300);
    const Mask mask{.bitmap = &bits, .inverted = false, .origin = {}};
    const DrawArea area = draw_area(target, target.bounds(), nullptr, mask);
    ASSERT_TRUE(area.needs_stencil);
    const Stencil stencil = Stencil::make(target, area.region).value();
    for (std::int32_t y = 0; y < 300; ++y)
        std::memset(target.line(y), 0xff, target.line_bytes());
    stencil.put_back(target, target.bounds(), mask);
    EXPECT_EQ(target.line(0)[0], 0x55);
    EXPECT_EQ(target.line(1)[36], 0xaa);
}

TEST(RopTest, TableOfEveryDescriptorIsItsFormula) {
    // INVERS_SRC 1, INVERS_DEST 4, PUT 8, OR 16, AND 32, XOR 64, INVERS_RES 1024.
    const auto evaluate = [](std::uint16_t descriptor, bool s, bool d) {
        if (descriptor & 1) s = !s;
        if (descriptor & 4) d = !d;
        bool result = s;
        if (descriptor & 16) result = s || d;
        if (descriptor & 32) result = s && d;
        if (descriptor & 64) result = s != d;
        return (descriptor & 1024) ? !result : result;
    };
    for (const int operation : {8, 16, 32, 64}) {
        for (const int inverse : {0, 1, 4, 5, 1024, 1025, 1028, 1029}) {
            const auto descriptor = static_cast<std::uint16_t>(operation | inverse);
            const Rop rop =
                rop_from_descriptor(descriptor, RopInput::source, RopInput::destination);
            with_rop(rop, [&](auto function) {
                for (const int bits : {0, 1, 2, 3}) {
                    const std::uint32_t s = bits & 1 ? ~0u : 0, d = bits & 2 ? ~0u : 0;
                    EXPECT_EQ(function.template apply<std::uint32_t>(s, d),
                              evaluate(descriptor, s, d) ? ~0u : 0u)
                        << descriptor;
                }
            });
        }
    }
    EXPECT_EQ(rop_from_descriptor(128, RopInput::brush, RopInput::destination), Rop::clear);
    EXPECT_EQ(rop_from_descriptor(256, RopInput::brush, RopInput::destination), Rop::set);
    EXPECT_EQ(rop_from_descriptor(512, RopInput::brush, RopInput::destination), Rop::invert);
    EXPECT_EQ(rop_from_descriptor(2 | 8, RopInput::brush, RopInput::destination),
              Rop::copy_inverted);
}

TEST(FillTest, SolidWithAndWithoutOperation) {
    Image target = make(4, 4, numbered);
    fill(target, Region(Rect{1, 1, 3, 3}), solid(0xff00ff), Rop::copy);
    EXPECT_EQ(get(target, 1, 1), 0xff00ffu);
    EXPECT_EQ(get(target, 3, 3), numbered(3, 3));
    fill(target, Region(Rect{0, 0, 1, 1}), {}, Rop::invert);
    EXPECT_EQ(get(target, 0, 0), ~numbered(0, 0));
}

TEST(FillTest, PatternRepeatsFromItsOriginAlsoToTheLeft) {
    const Image tile = make(3, 2, numbered);
    Image target = make(10, 10, [](int, int) { return 0u; });
    const Brush brush{.kind = Brush::Kind::pattern, .tile = &tile, .tile_origin = {4, 5}};
    fill(target, Region(target.bounds()), brush, Rop::copy);
    for (int y = 0; y < 10; ++y) {
        for (int x = 0; x < 10; ++x)
            EXPECT_EQ(get(target, x, y), numbered((x - 4 + 30) % 3, (y - 5 + 30) % 2));
    }
}

TEST(FillTest, SixteenBitSurfacesTakePixelValues) {
    Image target = Image::create(Format::rgb555, 5, 1).value();
    fill(target, Region(Rect{1, 0, 3, 1}), solid(0x7fff), Rop::copy);
    const auto* line = reinterpret_cast<const std::uint16_t*>(target.line(0));
    EXPECT_EQ(line[0], 0);
    EXPECT_EQ(line[1], 0x7fff);
    EXPECT_EQ(line[3], 0);
}

TEST(CopyTest, PlacesThePartAndStopsAtTheSourcesEdge) {
    const Image source = make(4, 4, numbered);
    Image target = make(10, 10, [](int, int) { return 7u; });
    const Rect box{2, 2, 8, 8};
    // The area reaches two pixels beyond the source.
    ASSERT_TRUE(copy(target, draw_region(target, box, nullptr), box,
                     {&source, {0, 0, 6, 6}, ScaleMode::nearest}, Rop::copy));
    EXPECT_EQ(get(target, 2, 2), numbered(0, 0));
    EXPECT_EQ(get(target, 5, 5), numbered(3, 3));
    EXPECT_EQ(get(target, 6, 6), 7u);
}

TEST(CopyTest, HostileAreasTouchNothingOutside) {
    const Image source = make(4, 4, numbered);
    Image target = make(6, 6, [](int, int) { return 7u; });
    const std::int32_t extremes[] = {INT32_MIN, -5, 0, 3, 1000, INT32_MAX};
    for (const auto left : extremes) {
        for (const auto right : extremes) {
            const Rect area{left, left, right, right};
            for (const Rect box : {Rect{0, 0, 6, 6}, area}) {
                for (const Rop rop : {Rop::copy, Rop::bit_xor}) {
                    (void)copy(target, draw_region(target, box, nullptr), box,
                               {&source, area, ScaleMode::interpolate}, rop);
                    (void)transparent(target, draw_region(target, box, nullptr), box,
                                      {&source, area, ScaleMode::nearest}, 1);
                    alpha_blend(target, draw_region(target, box, nullptr), box,
                                {&source, area, ScaleMode::nearest}, {});
                    (void)rop3(target, draw_region(target, box, nullptr), box,
                               {&source, area, ScaleMode::nearest}, solid(1), 0x69);
                    copy_bits(target, draw_region(target, box, nullptr), box, {left, right});
                }
            }
        }
    }
}

TEST(CopyTest, NearestScalingTakesPixelCentres) {
    const Image source = make(2, 2, numbered);
    Image target = make(6, 6, [](int, int) { return 0u; });
    const Rect box{1, 1, 5, 5};
    ASSERT_TRUE(copy(target, draw_region(target, box, nullptr), box,
                     {&source, source.bounds(), ScaleMode::nearest}, Rop::copy));
    for (int y = 0; y < 4; ++y) {
        for (int x = 0; x < 4; ++x)
            EXPECT_EQ(get(target, 1 + x, 1 + y), numbered(x / 2, y / 2));
    }
    EXPECT_EQ(get(target, 0, 0), 0u);
}

TEST(CopyTest, AScaledPartIsThePartOfTheScaledWhole) {
    SeededRandom random(11);
    const Image source = make(
        37, 23, [&](int, int) { return static_cast<std::uint32_t>(random.next()) & 0xffffff; });
    for (const ScaleMode mode : {ScaleMode::interpolate, ScaleMode::nearest}) {
        Image whole = make(100, 90, [](int, int) { return 0u; });
        Image part = make(100, 90, [](int, int) { return 0u; });
        const Rect box{3, 4, 95, 88};
        const Rect clips[] = {{20, 30, 50, 60}};
        const std::span<const Rect> clip(clips);
        const Source from{&source, {1, 2, 36, 21}, mode};
        ASSERT_TRUE(copy(whole, draw_region(whole, box, nullptr), box, from, Rop::copy));
        // With an operation the part goes through a temporary picture.
        ASSERT_TRUE(copy(part, draw_region(part, box, &clip), box, from, Rop::bit_or));
        for (int y = 30; y < 60; ++y) {
            for (int x = 20; x < 50; ++x)
                ASSERT_EQ(get(part, x, y) & 0xffffff, get(whole, x, y) & 0xffffff) << x << "," << y;
        }
        EXPECT_EQ(get(part, 50, 30), 0u);
    }
}

TEST(CopyTest, ASurfaceCopiedOntoItselfReadsBeforeItWrites) {
    Image target = make(8, 1, numbered);
    const Image itself = target.view_as(Format::xrgb32);
    const Rect box{1, 0, 8, 1};
    ASSERT_TRUE(copy(target, draw_region(target, box, nullptr), box,
                     {&itself, {0, 0, 7, 1}, ScaleMode::nearest}, Rop::copy));
    for (int x = 1; x < 8; ++x)
        EXPECT_EQ(get(target, x, 0), numbered(x - 1, 0));
}

// A guest names addresses: its picture may begin inside the surface that it is drawn to.
TEST(CopyTest, APictureMayShareItsMemoryWithTheTarget) {
    Image target = make(16, 4, numbered);
    const Image inside =
        Image::wrap(Format::xrgb32, 14, 4, static_cast<std::int32_t>(target.stride()),
                    target.line(0) + 2 * sizeof(std::uint32_t));
    ASSERT_TRUE(copy(target, Region(target.bounds()), {0, 0, 14, 4}, {&inside, inside.bounds()},
                     Rop::copy));
    for (int y = 0; y < 4; ++y) {
        for (int x = 0; x < 14; ++x)
            EXPECT_EQ(get(target, x, y), numbered(x + 2, y));
    }
}

TEST(CopyBitsTest, MovesInAllDirectionsWithAClipOfManyParts) {
    for (const int dx : {-3, 0, 2}) {
        for (const int dy : {-2, 0, 3}) {
            Image target = make(12, 12, numbered);
            const Rect box{3, 3, 9, 9};
            const Rect clips[] = {{3, 3, 5, 9}, {6, 3, 9, 5}, {5, 6, 8, 9}};
            const std::span<const Rect> clip(clips);
            const Region region = draw_region(target, box, &clip);
            copy_bits(target, region, box, {3 - dx, 3 - dy});
            for (int y = 0; y < 12; ++y) {
                for (int x = 0; x < 12; ++x) {
                    const bool moved = region.contains({x, y});
                    EXPECT_EQ(get(target, x, y), moved ? numbered(x - dx, y - dy) : numbered(x, y))
                        << dx << "," << dy << " at " << x << "," << y;
                }
            }
        }
    }
}

TEST(TransparentTest, LeavesOutTheColour) {
    const Image source = make(2, 1, [](int x, int) { return x ? 0xaa112233u : 0x00ff00u; });
    Image target = make(2, 1, [](int, int) { return 5u; });
    ASSERT_TRUE(transparent(target, Region(target.bounds()), target.bounds(),
                            {&source, source.bounds(), ScaleMode::nearest}, 0x112233));
    EXPECT_EQ(get(target, 0, 0), 0x00ff00u);
    EXPECT_EQ(get(target, 1, 0), 5u);
}

TEST(AlphaBlendTest, PremultipliedOver) {
    const Image source = make(
        3, 1, [](int x, int) { return x == 0   ? 0xff102030u
                                      : x == 1 ? 0u
                                               : 0x80404040u; },
        Format::argb32);
    Image target = make(3, 1, [](int, int) { return 0x808080u; });
    alpha_blend(target, Region(target.bounds()), target.bounds(),
                {&source, source.bounds(), ScaleMode::nearest}, {});
    EXPECT_EQ(get(target, 0, 0), 0x102030u);
    EXPECT_EQ(get(target, 1, 0) & 0xffffff, 0x808080u);
    EXPECT_EQ(get(target, 2, 0) & 0xffffff, 0x808080u);
}

TEST(Rop3Test, TheNumberIsTheTable) {
    const Image source = make(1, 1, [](int, int) { return 0xccccccccu; });
    for (int operation = 0; operation < 256; ++operation) {
        Image target = make(1, 1, [](int, int) { return 0xaaaaaaaau; });
        ASSERT_TRUE(rop3(target, Region(target.bounds()), target.bounds(),
                         {&source, source.bounds(), ScaleMode::nearest}, solid(0xf0f0f0f0),
                         static_cast<std::uint8_t>(operation)));
        EXPECT_EQ(get(target, 0, 0), 0x01010101u * operation);
    }
}

// As stock has it: of 4 pixels the last 3 become 2, and 1 / 1.5 is rounded to the second of the
// box.
TEST(Rop3Test, AScaledAreaBeginsAtAWholePixelOfTheBox) {
    const Image source = make(8, 1, [](int x, int) { return 0x111111u * x; });
    Image target = make(2, 1, [](int, int) { return 0u; });
    constexpr std::uint8_t kSourceOrPattern = 0xfc;
    ASSERT_TRUE(rop3(target, Region(target.bounds()), target.bounds(),
                     {&source, {1, 0, 4, 1}, ScaleMode::nearest}, solid(0), kSourceOrPattern));
    // Pixel n of the box is what stands at 1.5 (1 + n + 0.5), not at 1 + 1.5 (n + 0.5).
    EXPECT_EQ(get(target, 0, 0), 0x222222u);
    EXPECT_EQ(get(target, 1, 0), 0x333333u);
}

TEST(CompositeTest, SourceInMask) {
    const Image source = make(
        2, 1, [](int, int) { return 0xff00ff00u; }, Format::argb32);
    const Image mask = make(
        2, 1, [](int x, int) { return x ? 0xff000000u : 0u; }, Format::argb32);
    Image target = make(2, 1, [](int, int) { return 0x111111u; });
    CompositeOperand from, through;
    from.image = &source;
    through.image = &mask;
    constexpr std::uint8_t kOver = 3;
    ASSERT_TRUE(composite(target, Region(target.bounds()), target.bounds(), kOver, from, through));
    EXPECT_EQ(get(target, 0, 0) & 0xffffff, 0x111111u);
    EXPECT_EQ(get(target, 1, 0) & 0xffffff, 0x00ff00u);
    EXPECT_FALSE(composite(target, Region(target.bounds()), target.bounds(), 0x0f, from, {}));
    from.filter = 200;
    EXPECT_FALSE(composite(target, Region(target.bounds()), target.bounds(), kOver, from, {}));
}

TEST(CompositeTest, ASourceBeyondThePlaneIsNothing) {
    const Image source = make(
        2, 1, [](int, int) { return 0xff00ff00u; }, Format::argb32);
    CompositeOperand from;
    from.image = &source;
    from.origin = {INT32_MAX, INT32_MAX};
    constexpr std::uint8_t kOver = 3;
    Image target = make(2, 1, [](int, int) { return 0x111111u; });
    const Rect box{INT32_MIN, INT32_MIN, 2, 1};
    ASSERT_TRUE(composite(target, Region(target.bounds()), box, kOver, from, {}));
    EXPECT_EQ(get(target, 0, 0) & 0xffffff, 0x111111u);
    EXPECT_EQ(get(target, 1, 0) & 0xffffff, 0x111111u);
}

TEST(TextTest, GlyphsAreBottomUpAndLeftmostBitFirst) {
    const Bytes pixels = {0x80, 0x40};  // bottom line: left pixel; top line: second pixel
    Text string;
    string.glyphs.push_back({{2, 2}, {0, 0}, 2, 2, pixels});
    string.fore_brush = solid(0xffffff);
    string.back_area = {0, 0, 3, 3};
    string.back_brush = solid(0x222222);
    Image target = make(6, 6, [](int, int) { return 0u; });
    ASSERT_TRUE(text(target, Region(target.bounds()), string));
    EXPECT_EQ(get(target, 3, 2) & 0xffffff, 0xffffffu);
    EXPECT_EQ(get(target, 2, 3) & 0xffffff, 0xffffffu);
    EXPECT_EQ(get(target, 2, 2) & 0xffffff, 0x222222u);
    EXPECT_EQ(get(target, 0, 0) & 0xffffff, 0x222222u);
    EXPECT_EQ(get(target, 3, 3) & 0xffffff, 0u);
}

TEST(TextTest, ShortGlyphsAreErrors) {
    const Bytes pixels(3);
    Text string;
    string.glyphs.push_back({{0, 0}, {0, 0}, 9, 2, pixels});
    Image target = make(6, 6, numbered);
    EXPECT_FALSE(text(target, Region(target.bounds()), string));
    string.glyph_bits = 2;
    EXPECT_FALSE(text(target, Region(target.bounds()), string));
}

std::vector<Point> pixels_of_line(Point from, Point to) {
    Image target = make(20, 20, [](int, int) { return 0u; });
    Stroke line;
    const auto fixed = [](Point point) { return Point{point.x * 16, point.y * 16}; };
    line.path.push_back({1, {fixed(from), fixed(to)}});
    line.brush = solid(1);
    EXPECT_TRUE(stroke(target, Region(target.bounds()), line));
    std::vector<Point> result;
    for (int y = 0; y < 20; ++y) {
        for (int x = 0; x < 20; ++x) {
            if (get(target, x, y)) result.push_back({x, y});
        }
    }
    return result;
}

TEST(StrokeTest, LinesLeaveOutTheirLastPoint) {
    EXPECT_EQ(pixels_of_line({2, 3}, {5, 3}), (std::vector<Point>{{2, 3}, {3, 3}, {4, 3}}));
    EXPECT_EQ(pixels_of_line({5, 3}, {2, 3}), (std::vector<Point>{{3, 3}, {4, 3}, {5, 3}}));
    EXPECT_EQ(pixels_of_line({2, 2}, {5, 5}), (std::vector<Point>{{2, 2}, {3, 3}, {4, 4}}));
    EXPECT_EQ(pixels_of_line({4, 4}, {4, 4}), (std::vector<Point>{}));
}

TEST(StrokeTest, LinesFollowBresenhamsErrorTerm) {
    for (const Point to : {Point{17, 9}, Point{9, 17}, Point{3, 1}, Point{1, 19}, Point{18, 3}}) {
        const Point from{10, 10};
        const int dx = to.x - from.x, dy = to.y - from.y;
        const int adx = std::abs(dx), ady = std::abs(dy);
        const int sx = dx < 0 ? -1 : 1, sy = dy < 0 ? -1 : 1;
        const bool x_major = adx > ady;
        const int major = x_major ? adx : ady, minor = x_major ? ady : adx;
        int error = -major - ((x_major ? dx : dy) < 0 ? 1 : 0);
        std::vector<Point> expected;
        Point pen = from;
        for (int step = 0; step < major; ++step) {
            expected.push_back(pen);
            (x_major ? pen.x : pen.y) += x_major ? sx : sy;
            error += 2 * minor;
            if (error >= 0) {
                (x_major ? pen.y : pen.x) += x_major ? sy : sx;
                error -= 2 * major;
            }
        }
        std::sort(expected.begin(), expected.end(),
                  [](Point a, Point b) { return a.y != b.y ? a.y < b.y : a.x < b.x; });
        EXPECT_EQ(pixels_of_line(from, to), expected) << to.x << "," << to.y;
    }
}

TEST(StrokeTest, EndlessLinesAndCurvesAreCheap) {
    Image target = make(20, 20, [](int, int) { return 0u; });
    Stroke line;
    line.path.push_back({1, {{INT32_MIN, INT32_MIN}, {INT32_MAX, INT32_MAX}}});
    line.path.push_back({16, {{INT32_MAX, 0}, {0, INT32_MIN}, {INT32_MAX, INT32_MAX}}});
    line.brush = solid(1);
    (void)stroke(target, Region(target.bounds()), line);
    EXPECT_EQ(get(target, 5, 5), 1u);
}

// Whatever the clip's rectangles are, a line paints in each what it paints without a clip.
TEST(StrokeTest, LinesAreCutByEachRectangleOfTheirClip) {
    std::vector<Rect> clip;
    for (int at = 0; at < 30; ++at)
        clip.push_back(
            {at * 7 % 19, at * 5 % 17, at * 7 % 19 + 1 + at % 3, at * 5 % 17 + 1 + at % 2});
    const Region region{std::span<const Rect>(clip)};
    for (const Point to : {Point{19, 4}, Point{2, 19}, Point{0, 3}, Point{19, 19}, Point{12, 0}}) {
        Stroke line;
        line.path.push_back({1, {{0, 3 * 16}, {to.x * 16, to.y * 16}, {5 * 16, 5 * 16}}});
        line.brush = solid(1);
        Image whole = make(20, 20, [](int, int) { return 0u; });
        Image cut = make(20, 20, [](int, int) { return 0u; });
        ASSERT_TRUE(stroke(whole, Region(whole.bounds()), line));
        ASSERT_TRUE(stroke(cut, region, line));
        for (int y = 0; y < 20; ++y) {
            for (int x = 0; x < 20; ++x)
                EXPECT_EQ(get(cut, x, y), region.contains({x, y}) ? get(whole, x, y) : 0u);
        }
    }
}

// One command must not keep the worker, and whoever waits for it, for minutes.
TEST(StrokeTest, APathOfTooManyPixelsIsRefused) {
    Image target = make(4096, 1, [](int, int) { return 0u; });
    Stroke line;
    line.brush = solid(1);
    line.path.push_back({1, {{0, 0}}});
    for (std::int64_t at = 0; at < kMostStrokeSteps / 4096; ++at)
        line.path[0].points.push_back({at % 2 == 0 ? 4096 * 16 : 0, 0});
    EXPECT_FALSE(stroke(target, Region(target.bounds()), line)) << "the points count, too";
    line.path[0].points.resize(1000);
    EXPECT_TRUE(stroke(target, Region(target.bounds()), line));
    // Out of sight, too.
    Stroke far;
    far.brush = solid(1);
    for (int at = 0; at < 256; ++at) {
        far.path.push_back({1, {{0, 16}}});
        far.path.back().points.resize(kMaxStrokePoints - 1, {16, 16});
    }
    EXPECT_FALSE(stroke(target, Region(target.bounds()), far));
}

TEST(StrokeTest, ManyDashesOfAnOddNumberTakeTurns) {
    constexpr int kDashes = 255;  // as many as a guest may name
    Image target = make(4096, 1, [](int, int) { return 0u; });
    Stroke line;
    line.path.push_back({1, {{0, 0}, {4096 * 16, 0}}});
    line.brush = solid(1);
    line.start_with_gap = true;
    std::vector<bool> is_on;
    for (int dash = 0; is_on.size() < 4096; ++dash) {
        const int length = dash % kDashes % 3 + 1;
        if (dash < kDashes) line.dashes.push_back(length * 16);
        is_on.insert(is_on.end(), static_cast<std::size_t>(length), dash % 2 == 1);
    }
    ASSERT_TRUE(stroke(target, Region(target.bounds()), line));
    for (int x = 0; x < 4096; ++x)
        ASSERT_EQ(get(target, x, 0), is_on[static_cast<std::size_t>(x)] ? 1u : 0u) << x;
}

TEST(StrokeTest, DashesAlternate) {
    Image target = make(12, 1, [](int, int) { return 0u; });
    Stroke line;
    line.path.push_back({1, {{0, 0}, {12 * 16, 0}}});
    line.dashes = {3 * 16, 2 * 16};
    line.brush = solid(1);
    ASSERT_TRUE(stroke(target, Region(target.bounds()), line));
    std::string seen;
    for (int x = 0; x < 12; ++x)
        seen += get(target, x, 0) ? '#' : '.';
    EXPECT_EQ(seen, "###..###..##");
}

}  // namespace
}  // namespace segue::spice::canvas
