// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/canvas/geometry.h"

#include <gtest/gtest.h>

#include <limits>
#include <utility>

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
