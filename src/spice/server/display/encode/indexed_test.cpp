// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/encode/indexed.h"

#include <gtest/gtest.h>

namespace segue::spice::server {
namespace {

using codec::PictureView;
using codec::PixelFormat;

PictureView view_of(const std::vector<std::uint32_t>& pixels, std::uint32_t width) {
    PictureView view;
    view.width = width;
    view.height = static_cast<std::uint32_t>(pixels.size() / width);
    view.rows = reinterpret_cast<const std::uint8_t*>(pixels.data());
    view.stride = static_cast<std::ptrdiff_t>(width * 4);
    return view;
}

std::uint32_t color_at(const Indexer& indexer, std::uint32_t x, std::uint32_t y) {
    const std::uint8_t* row = indexer.view().row(y);
    const unsigned index = indexer.view().format == PixelFormat::one_bit_be
                               ? row[x / 8] >> (7 - x % 8) & 1u
                               : row[x / 2] >> (x % 2 == 0 ? 4 : 0) & 15u;
    return indexer.palette().at(index);
}

TEST(IndexerTest, EveryPixelKeepsItsColour) {
    Indexer indexer;
    for (std::uint32_t colors = 1; colors <= 16; ++colors) {
        for (const std::uint32_t width : {64u, 65u, 71u, 63u}) {
            std::vector<std::uint32_t> pixels(width * 33);
            unsigned seed = colors;
            for (std::uint32_t& pixel : pixels) {
                seed = seed * 1103515245u + 12345u;
                // The fourth byte means nothing.
                pixel = (((seed >> 16) % colors * 0x0f3511) ^ 0x80ff20) | seed << 31;
            }
            ASSERT_TRUE(indexer.index(view_of(pixels, width)));
            EXPECT_EQ(indexer.palette().size(), colors);
            EXPECT_TRUE(std::is_sorted(indexer.palette().begin(), indexer.palette().end()));
            EXPECT_EQ(indexer.view().format,
                      colors <= 2 ? PixelFormat::one_bit_be : PixelFormat::four_bit_be);
            for (std::uint32_t at = 0; at < pixels.size(); ++at)
                ASSERT_EQ(color_at(indexer, at % width, at / width), pixels[at] & 0xffffff) << at;
        }
    }
}

// Such a row is taken from the one above.
TEST(IndexerTest, RowsThatRepeatKeepTheirColours) {
    Indexer indexer;
    for (const std::uint32_t colors : {1u, 2u, 9u}) {
        for (const std::uint32_t width : {64u, 71u}) {
            std::vector<std::uint32_t> pixels(width * 40);
            for (std::uint32_t at = 0; at < pixels.size(); ++at)
                pixels[at] = (at % width * 7 + at / width / 5) % colors * 0x0f3511;
            ASSERT_TRUE(indexer.index(view_of(pixels, width)));
            for (std::uint32_t at = 0; at < pixels.size(); ++at)
                ASSERT_EQ(color_at(indexer, at % width, at / width), pixels[at]) << at;
        }
    }
}

TEST(IndexerTest, ManyColoursSmallPicturesAndAlphaAreLeftAsTheyAre) {
    Indexer indexer;
    std::vector<std::uint32_t> pixels(64 * 64);
    for (std::uint32_t at = 0; at < pixels.size(); ++at)
        pixels[at] = at % 17;
    EXPECT_FALSE(indexer.index(view_of(pixels, 64)));
    pixels.assign(pixels.size(), 1);
    PictureView view = view_of(pixels, 64);
    EXPECT_TRUE(indexer.index(view));
    view.format = PixelFormat::bgra32;
    EXPECT_FALSE(indexer.index(view));
    pixels.resize(31 * 33);
    EXPECT_FALSE(indexer.index(view_of(pixels, 31)));
}

}  // namespace
}  // namespace segue::spice::server
