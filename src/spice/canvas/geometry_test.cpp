// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/canvas/geometry.h"

#include <gtest/gtest.h>

#include <limits>
#include <utility>
#include <vector>

namespace segue::spice::canvas {
namespace {

constexpr std::int32_t kMin = std::numeric_limits<std::int32_t>::min();
constexpr std::int32_t kMax = std::numeric_limits<std::int32_t>::max();

TEST(RectTest, ExtremeRectanglesDoNotOverflow) {
    const Rect all{kMin, kMin, kMax, kMax};
    EXPECT_FALSE(all.empty());
    EXPECT_EQ(all.width(), std::int64_t{kMax} - kMin);
    EXPECT_EQ(intersection(all, {0, 0, 5, 5}), (Rect{0, 0, 5, 5}));
    EXPECT_TRUE(intersection({0, 0, 5, 5}, {5, 0, 9, 9}).empty());
    EXPECT_TRUE((Rect{7, 0, 3, 9}).empty());
}

TEST(RectTest, BoundingIgnoresEmptyOnes) {
    EXPECT_EQ(bounding({}, {1, 2, 3, 4}), (Rect{1, 2, 3, 4}));
    EXPECT_EQ(bounding({1, 2, 3, 4}, {0, 3, 2, 9}), (Rect{0, 2, 3, 9}));
}

TEST(RegionTest, OverlappingRectanglesUnite) {
    const Rect rects[] = {{0, 0, 10, 10}, {5, 5, 15, 15}, {9, 9, 9, 20}};
    const Region region(rects);
    std::int64_t area = 0;
    for (const Rect& rect : region.rects())
        area += rect.width() * rect.height();
    EXPECT_EQ(area, 100 + 100 - 25);
    EXPECT_EQ(region.extents(), (Rect{0, 0, 15, 15}));
    EXPECT_TRUE(region.contains({14, 14}));
    EXPECT_FALSE(region.contains({14, 0}));
}

TEST(RegionTest, SetOperations) {
    Region region(Rect{0, 0, 10, 10});
    region.subtract(Region(Rect{0, 0, 5, 10}));
    EXPECT_EQ(region, Region(Rect{5, 0, 10, 10}));
    region.unite(Rect{0, 0, 5, 10});
    EXPECT_TRUE(region.covers({0, 0, 10, 10}));
    region.intersect(Rect{20, 20, 30, 30});
    EXPECT_TRUE(region.empty());
    EXPECT_FALSE(region.intersects({0, 0, 100, 100}));
}

TEST(RegionTest, OfTooManyRectanglesItBecomesFewer) {
    std::vector<Rect> dots;
    for (std::int32_t y = -100; y < 400; y += 2) {
        for (std::int32_t x = 3; x < 300; x += 2)
            dots.push_back({x, y, x + 1, y + 1});
    }
    const Region exact(dots);
    Region same = exact;
    same.simplify(dots.size());
    EXPECT_EQ(same, exact);
    Region fewer = exact;
    fewer.unite(Rect{2000, 399, 2001, 400});
    const Region all = fewer;
    fewer.simplify(100);
    EXPECT_LE(fewer.rects().size(), 100u);
    EXPECT_EQ(fewer.extents(), all.extents());
    EXPECT_FALSE(fewer.intersects({500, -100, 1900, 400})) << "only what is near";
    for (const Rect& dot : dots)
        EXPECT_TRUE(fewer.covers(dot));
    fewer = all;
    fewer.simplify(1);
    EXPECT_EQ(fewer, Region(all.extents()));
    Region extreme(Rect{kMin, kMin, kMin + 1, kMin + 1});
    extreme.unite(Rect{kMax - 1, kMax - 1, kMax, kMax});
    extreme.simplify(1);
    EXPECT_EQ(extreme, Region(Rect{kMin, kMin, kMax, kMax}));
}

TEST(RegionTest, CopiesAndMovesAreIndependent) {
    Region a(Rect{0, 0, 3, 3});
    Region b = a;
    b.translate(1, 1);
    EXPECT_EQ(a.extents(), (Rect{0, 0, 3, 3}));
    Region c = std::move(b);
    EXPECT_EQ(c.extents(), (Rect{1, 1, 4, 4}));
    a = c;
    EXPECT_EQ(a, c);
}

}  // namespace
}  // namespace segue::spice::canvas
