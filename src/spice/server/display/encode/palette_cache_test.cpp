// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/encode/palette_cache.h"

#include <gtest/gtest.h>

namespace segue::spice::server {
namespace {

TEST(PaletteCacheTest, ThePaletteThatWasUsedLongestAgoMakesRoom) {
    PaletteCache cache;
    const std::uint64_t first = cache.use({1, 2}).id;
    const std::uint64_t second = cache.use({3}).id;
    EXPECT_NE(first, second);
    for (std::uint32_t color = 0; color + 2 < PaletteCache::kMost; ++color) {
        const PaletteCache::Place place = cache.use({100, color});
        EXPECT_TRUE(place.is_new);
        EXPECT_FALSE(place.forgot);
    }
    const PaletteCache::Place again = cache.use({1, 2});
    EXPECT_EQ(again.id, first);
    EXPECT_FALSE(again.is_new);
    const PaletteCache::Place more = cache.use({200});
    EXPECT_TRUE(more.is_new);
    EXPECT_EQ(more.forgot, second);
    EXPECT_NE(cache.use({3}).id, second) << "an id is never used again";
    cache.clear();
    EXPECT_TRUE(cache.use({1, 2}).is_new);
}

}  // namespace
}  // namespace segue::spice::server
