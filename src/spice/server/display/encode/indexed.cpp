// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/encode/indexed.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "spice/codec/lz_match.h"

namespace segue::spice::server {

using codec::PictureView;
using codec::PixelFormat;

namespace {

// A short run is written as one word, whose end the next run overwrites.
constexpr std::size_t kSlack = sizeof(std::uint64_t);

// Whoever writes all of it anew needs no zeros.
void make_room(std::vector<std::uint8_t>& bytes, std::size_t size) {
    if (bytes.size() < size) bytes.resize(size);
}

// The lowest bit of each half byte, of those that come first the highest.
std::uint16_t low_bits(std::uint64_t halves) {
    halves &= 0x1111111111111111;
    halves = (halves | halves >> 3) & 0x0303030303030303;
    halves = (halves | halves >> 6) & 0x000f000f000f000f;
    halves = (halves | halves >> 12) & 0x000000ff000000ff;
    return static_cast<std::uint16_t>(halves | halves >> 24);
}

// Writes indices of four bits, the first of a byte in its high half.
class HalfWriter {
  public:
    explicit HalfWriter(std::uint8_t* to) : to_(to) {}

    void put(std::uint8_t index, std::size_t run) {
        if (is_inside_) {
            *to_++ |= index;
            is_inside_ = false;
            if (--run == 0) return;
        }
        const auto pair = static_cast<std::uint8_t>(index << 4 | index);
        const std::size_t bytes = run / 2;
        if (bytes <= sizeof(std::uint64_t)) {
            const std::uint64_t word = pair * 0x0101010101010101u;
            std::memcpy(to_, &word, sizeof word);
        } else {
            std::memset(to_, pair, bytes);
        }
        to_ += bytes;
        is_inside_ = run % 2 != 0;
        if (is_inside_) *to_ = static_cast<std::uint8_t>(index << 4);
    }

  private:
    std::uint8_t* to_;
    bool is_inside_ = false;  // of a byte
};

}  // namespace

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
    if (palette_.size() <= 2) {
        pack_bits();
    } else {
        rank_halves();
    }
    view_.rows = rows_.data();
    return true;
}

// False as soon as there is a colour too many: most pictures of many colours show it at once. Each
// pixel is read for its colour once, so that who draws meanwhile spoils only his own picture.
bool Indexer::collect(const PictureView& picture) {
    constexpr std::uint32_t kColor = 0xffffff;
    palette_.clear();
    const std::size_t row = codec::row_size(PixelFormat::four_bit_be, picture.width);
    make_room(rows_, row * picture.height + kSlack);
    for (std::uint32_t y = 0; y < picture.height; ++y) {
        const auto* at = reinterpret_cast<const std::uint32_t*>(picture.row(y));
        const std::uint32_t* const end = at + picture.width;
        HalfWriter halves(rows_.data() + y * row);
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
            halves.put(index, run);
            at += run;
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
    rank_.fill(0);
    std::vector<std::uint32_t> sorted(palette_.size());
    for (std::size_t place = 0; place < order.size(); ++place) {
        rank_[order[place]] = static_cast<std::uint8_t>(place);
        sorted[place] = palette_[order[place]];
    }
    palette_ = std::move(sorted);
}

// Two indices at a time: a byte's worth of them gives a byte, or two bits.
void Indexer::rank_halves() {
    if (std::is_sorted(rank_.begin(), rank_.begin() + static_cast<std::ptrdiff_t>(palette_.size())))
        return;
    std::array<std::uint8_t, 256> ranked;
    for (unsigned pair = 0; pair < ranked.size(); ++pair)
        ranked[pair] = static_cast<std::uint8_t>(rank_[pair >> 4] << 4 | rank_[pair & 15]);
    const std::size_t size = view_.bytes();
    for (std::size_t at = 0; at < size; ++at)
        rows_[at] = ranked[rows_[at]];
}

void Indexer::pack_bits() {
    // Of two colours, the index is the place or its opposite.
    const std::uint8_t flipped = rank_[0];
    const std::uint32_t flipped_all = flipped * 0xffffu;
    const auto bits = [flipped](std::uint8_t pair) {
        return static_cast<unsigned>((pair >> 3 | (pair & 1)) ^ (flipped * 3));
    };
    const std::size_t halves = codec::row_size(PixelFormat::four_bit_be, view_.width);
    const std::size_t row = view_.row_bytes();
    make_room(bits_, row * view_.height);
    for (std::uint32_t y = 0; y < view_.height; ++y) {
        const std::uint8_t* from = rows_.data() + y * halves;
        std::uint8_t* to = bits_.data() + y * row;
        const std::uint8_t* const end = from + halves;
        for (; end - from >= 8; from += 8, to += 2) {
            const std::uint64_t pairs = load<ByteOrder::big, std::uint64_t>(from);
            store<ByteOrder::big>(to, static_cast<std::uint16_t>(low_bits(pairs) ^ flipped_all));
        }
        for (; end - from >= 4; from += 4) {
            *to++ = static_cast<std::uint8_t>(bits(from[0]) << 6 | bits(from[1]) << 4 |
                                              bits(from[2]) << 2 | bits(from[3]));
        }
        if (from == end) continue;
        unsigned last = 0;
        for (unsigned shift = 6; from < end; shift -= 2)
            last |= bits(*from++) << shift;
        *to = static_cast<std::uint8_t>(last);
    }
    rows_.swap(bits_);
}

}  // namespace segue::spice::server
