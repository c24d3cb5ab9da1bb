// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/client/stale_rects.h"

#include <gtest/gtest.h>

namespace segue::spice::server {
namespace {

using canvas::Rect;
using canvas::Region;

Region union_of(const std::vector<Rect>& rects) {
    return Region(std::span<const Rect>(rects));
}

TEST(StaleRects, ColumnsOfOneRefreshAreOneImage) {
    Region stale;
    for (std::int32_t x = 0; x < 720; x += 32)
        stale.unite(Rect{x, 16, std::min(x + 32, 720), 32});
    const std::vector<Rect> rects = rects_to_send(stale);
    ASSERT_EQ(rects.size(), 1u);
    EXPECT_EQ(rects[0], (Rect{0, 16, 720, 32}));
}

TEST(StaleRects, FarCornersStayApart) {
    Region stale(Rect{0, 0, 64, 64});
    stale.unite(Rect{900, 700, 964, 764});
    EXPECT_EQ(rects_to_send(stale).size(), 2u);
}

TEST(StaleRects, LargeAreasGoInStrips) {
    const Region stale(Rect{0, 0, 4096, 2160});
    const std::vector<Rect> rects = rects_to_send(stale);
    EXPECT_GT(rects.size(), 1u);
    for (const Rect& rect : rects)
        EXPECT_LE(rect.width() * rect.height(), kMostImagePixels);
    EXPECT_EQ(union_of(rects), stale);
}

TEST(StaleRects, NothingIsLeftOut) {
    Region stale;
    unsigned chance = 7;
    for (int at = 0; at < 200; ++at) {
        chance = chance * 1103515245u + 12345u;
        const auto x = static_cast<std::int32_t>((chance >> 8) % 1000);
        const auto y = static_cast<std::int32_t>((chance >> 18) % 700);
        stale.unite(Rect{x, y, x + 9, y + 5});
    }
    Region left = stale;
    left.subtract(union_of(rects_to_send(stale)));
    EXPECT_TRUE(left.empty());
}

TEST(StaleRects, OfNothingIsNothing) {
    EXPECT_TRUE(rects_to_send(Region()).empty());
}

}  // namespace
}  // namespace segue::spice::server
