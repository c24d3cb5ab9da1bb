// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/client/tile_digests.h"

#include <algorithm>
#include <cstring>

namespace segue::spice::server {
namespace {

// The byte of xrgb32 that is no pixel, twice.
constexpr std::uint64_t kColours = 0x00ffffff00ffffff;
constexpr std::uint64_t kMultiplier = 0x9e3779b97f4a7c15;

std::uint64_t mix(std::uint64_t digest, std::uint64_t word) {
    digest = (digest ^ word) * kMultiplier;
    return digest ^ (digest >> 29);
}

// Not meant against an enemy: who paints the screen can only spoil his own picture. Never 0.
std::uint64_t digest_of(const canvas::Image& image, const canvas::Rect& tile) {
    const std::size_t bytes = static_cast<std::size_t>(canvas::bits_per_pixel(image.format())) / 8;
    const std::uint64_t mask =
        image.format() == canvas::Format::xrgb32 ? kColours : ~std::uint64_t{0};
    const std::size_t length = static_cast<std::size_t>(tile.width()) * bytes;
    std::uint64_t digest = kMultiplier;
    for (std::int32_t y = tile.top; y < tile.bottom; ++y) {
        const std::uint8_t* at = image.line(y) + static_cast<std::size_t>(tile.left) * bytes;
        std::size_t rest = length;
        for (; rest >= sizeof(std::uint64_t); rest -= sizeof(std::uint64_t)) {
            std::uint64_t word;
            std::memcpy(&word, at, sizeof word);
            digest = mix(digest, word & mask);
            at += sizeof word;
        }
        std::uint64_t word = 0;
        std::memcpy(&word, at, rest);
        digest = mix(digest, word & mask);
    }
    return digest == 0 ? 1 : digest;
}

std::size_t tiles(std::int32_t side) {
    return static_cast<std::size_t>((side + TileDigests::kSide - 1) / TileDigests::kSide);
}

}  // namespace

std::size_t TileDigests::count(std::int32_t width, std::int32_t height) {
    return tiles(width) * tiles(height);
}

canvas::Rect TileDigests::tile(std::size_t column, std::size_t row) const {
    const auto left = static_cast<std::int32_t>(column) * kSide;
    const auto top = static_cast<std::int32_t>(row) * kSide;
    return {left, top, std::min(left + kSide, width_), std::min(top + kSide, height_)};
}

// `within` lies in the surface.
template <class Action>
void TileDigests::for_tiles(const canvas::Rect& within, const Action& action) const {
    const std::size_t columns = tiles(width_);
    const auto first = [](std::int32_t edge) { return static_cast<std::size_t>(edge / kSide); };
    for (std::size_t row = first(within.top); row < tiles(within.bottom); ++row) {
        for (std::size_t column = first(within.left); column < tiles(within.right); ++column)
            action(tile(column, row), row * columns + column);
    }
}

TileDigests TileDigests::of(const canvas::Image& image, const canvas::Region& unlike) {
    TileDigests made;
    if (image.empty() || canvas::bits_per_pixel(image.format()) < 16) return made;
    made.width_ = image.width();
    made.height_ = image.height();
    made.values_.resize(count(image.width(), image.height()));
    made.for_tiles(image.bounds(), [&](const canvas::Rect& tile, std::size_t number) {
        if (!unlike.intersects(tile)) made.values_[number] = digest_of(image, tile);
    });
    return made;
}

TileDigests TileDigests::from(std::int32_t width, std::int32_t height,
                              std::vector<std::uint64_t> values) {
    TileDigests made;
    if (width <= 0 || height <= 0 || values.size() != count(width, height)) return made;
    made.width_ = width;
    made.height_ = height;
    made.values_ = std::move(values);
    return made;
}

void TileDigests::spare(const canvas::Image& image, canvas::Region& stale) const {
    if (values_.empty() || stale.empty()) return;
    if (image.width() != width_ || image.height() != height_) return;
    canvas::Rect within = stale.extents();
    within = {std::max(within.left, 0), std::max(within.top, 0), std::min(within.right, width_),
              std::min(within.bottom, height_)};
    if (within.left >= within.right || within.top >= within.bottom) return;
    std::vector<canvas::Rect> same;
    for_tiles(within, [&](const canvas::Rect& tile, std::size_t number) {
        const std::uint64_t shown = values_[number];
        if (shown != 0 && stale.intersects(tile) && digest_of(image, tile) == shown)
            same.push_back(tile);
    });
    if (!same.empty()) stale.subtract(canvas::Region(std::span<const canvas::Rect>(same)));
}

}  // namespace segue::spice::server
