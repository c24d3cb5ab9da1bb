// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/encode/indexed.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "spice/codec/lz_match.h"

namespace segue::spice::server {

using codec::PictureView;
using codec::PixelFormat;

bool Indexer::index(const PictureView& picture) {
    const bool is_whole = codec::is_aligned(picture.rows) && picture.stride % 4 == 0;
    if (picture.format != PixelFormat::bgrx32 || !is_whole ||
        std::uint64_t{picture.width} * picture.height < kLeastPixels || !collect(picture))
        return false;
    sort();
    view_ = {};
    view_.format = palette_.size() <= 2 ? PixelFormat::one_bit_be : PixelFormat::four_bit_be;
    view_.width = picture.width;
    view_.height = picture.height;
    view_.stride = static_cast<std::ptrdiff_t>(view_.row_bytes());
    rows_.assign(view_.bytes(), 0);
    view_.rows = rows_.data();
    if (palette_.size() <= 2) {
        pack_bits(picture.width, picture.height);
    } else {
        pack_halves(picture.width, picture.height);
    }
    return true;
}

// False as soon as there is a colour too many: most pictures of many colours show it at once.
bool Indexer::collect(const PictureView& picture) {
    constexpr std::uint32_t kColor = 0xffffff;
    palette_.clear();
    indices_.resize(std::size_t{picture.width} * picture.height);
    std::uint8_t* to = indices_.data();
    for (std::uint32_t y = 0; y < picture.height; ++y) {
        const auto* at = reinterpret_cast<const std::uint32_t*>(picture.row(y));
        const std::uint32_t* const end = at + picture.width;
        while (at < end) {
            const std::uint32_t color = *at & kColor;
            const auto found = std::find(palette_.begin(), palette_.end(), color);
            const auto index = static_cast<std::uint8_t>(found - palette_.begin());
            if (found == palette_.end()) {
                if (palette_.size() == kMostColors) return false;
                palette_.push_back(color);
            }
            // Runs are long, in what has few colours.
            const std::size_t run = 1 + codec::same_length(at + 1, at, end);
            std::memset(to, index, run);
            at += run;
            to += run;
        }
    }
    return true;
}

void Indexer::sort() {
    std::vector<std::uint8_t> order(palette_.size());
    std::iota(order.begin(), order.end(), std::uint8_t{0});
    std::sort(order.begin(), order.end(), [&](std::uint8_t one, std::uint8_t other) {
        return palette_[one] < palette_[other];
    });
    rank_.assign(palette_.size(), 0);
    std::vector<std::uint32_t> sorted(palette_.size());
    for (std::size_t place = 0; place < order.size(); ++place) {
        rank_[order[place]] = static_cast<std::uint8_t>(place);
        sorted[place] = palette_[order[place]];
    }
    palette_ = std::move(sorted);
}

void Indexer::pack_bits(std::uint32_t width, std::uint32_t height) {
    // Of two colours, the index is the place or its opposite.
    const std::uint8_t flipped = rank_[0];
    const std::uint8_t* from = indices_.data();
    std::uint8_t* to = rows_.data();
    for (std::uint32_t y = 0; y < height; ++y) {
        std::uint32_t x = 0;
        for (; x + 8 <= width; x += 8, from += 8) {
            unsigned bits = 0;
            for (unsigned at = 0; at < 8; ++at)
                bits = bits << 1 | (from[at] ^ flipped);
            *to++ = static_cast<std::uint8_t>(bits);
        }
        if (x == width) continue;
        unsigned bits = 0;
        for (const std::uint32_t rest = width - x; x < width; ++x)
            bits |= static_cast<unsigned>(*from++ ^ flipped) << (7 - (rest - (width - x)));
        *to++ = static_cast<std::uint8_t>(bits);
    }
}

void Indexer::pack_halves(std::uint32_t width, std::uint32_t height) {
    const std::uint8_t* from = indices_.data();
    std::uint8_t* to = rows_.data();
    for (std::uint32_t y = 0; y < height; ++y) {
        std::uint32_t x = 0;
        for (; x + 2 <= width; x += 2, from += 2)
            *to++ = static_cast<std::uint8_t>(rank_[from[0]] << 4 | rank_[from[1]]);
        if (x < width) *to++ = static_cast<std::uint8_t>(rank_[*from++] << 4);
    }
}

}  // namespace segue::spice::server
