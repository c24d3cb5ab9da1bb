// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/encode/indexed.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>

namespace segue::spice::server {

using codec::PictureView;
using codec::PixelFormat;

namespace {

constexpr std::uint32_t kColor = 0xffffff;

// Sixteen pixels, each read once, and their places in a palette.
#if defined(__SSE2__)
class Sixteen {
  public:
    static constexpr std::size_t kCount = 16;
    static constexpr unsigned kAll = 0xffff;

    explicit Sixteen(const std::uint32_t* from) {
        const __m128i color = _mm_set1_epi32(kColor);
#pragma GCC unroll 4
        for (std::size_t four = 0; four < 4; ++four) {
            pixels_[four] = _mm_and_si128(
                _mm_loadu_si128(reinterpret_cast<const __m128i*>(from) + four), color);
        }
    }
    std::uint32_t color(unsigned at) const {
        std::uint32_t pixels[kCount];
        std::memcpy(pixels, pixels_, sizeof pixels);
        return pixels[at];
    }
    // A bit for each that shows the colour, the first one lowest.
    unsigned showing(std::uint32_t color) const {
        __m128i same[4];
        return compare(color, same);
    }
    // The same; and their index is noted.
    unsigned mark(std::uint32_t color, std::uint8_t index) {
        __m128i same[4];
        const unsigned bits = compare(color, same);
#pragma GCC unroll 4
        for (std::size_t four = 0; four < 4; ++four)
            indices_[four] =
                _mm_or_si128(indices_[four], _mm_and_si128(same[four], _mm_set1_epi32(index)));
        return bits;
    }
    // Eight bytes, of two indices each: the first one high.
    void put_indices(std::uint8_t* to) const {
        const __m128i bytes = _mm_packus_epi16(_mm_packs_epi32(indices_[0], indices_[1]),
                                               _mm_packs_epi32(indices_[2], indices_[3]));
        const __m128i pairs = _mm_and_si128(
            _mm_or_si128(_mm_slli_epi16(bytes, 4), _mm_srli_epi16(bytes, 8)), _mm_set1_epi16(0xff));
        _mm_storel_epi64(reinterpret_cast<__m128i*>(to), _mm_packus_epi16(pairs, pairs));
    }

  private:
    unsigned compare(std::uint32_t color, __m128i* same) const {
        const __m128i wanted = _mm_set1_epi32(static_cast<int>(color));
#pragma GCC unroll 4
        for (std::size_t four = 0; four < 4; ++four)
            same[four] = _mm_cmpeq_epi32(pixels_[four], wanted);
        const __m128i all =
            _mm_packs_epi16(_mm_packs_epi32(same[0], same[1]), _mm_packs_epi32(same[2], same[3]));
        return static_cast<unsigned>(_mm_movemask_epi8(all));
    }

    __m128i pixels_[4];
    __m128i indices_[4] = {};
};
#else
class Sixteen {
  public:
    static constexpr std::size_t kCount = 16;
    static constexpr unsigned kAll = 0xffff;

    explicit Sixteen(const std::uint32_t* from) {
        std::memcpy(pixels_, from, sizeof pixels_);
        for (std::uint32_t& pixel : pixels_)
            pixel &= kColor;
    }
    std::uint32_t color(unsigned at) const { return pixels_[at]; }
    unsigned showing(std::uint32_t color) const {
        unsigned bits = 0;
        for (unsigned at = 0; at < kCount; ++at)
            bits |= unsigned{pixels_[at] == color} << at;
        return bits;
    }
    unsigned mark(std::uint32_t color, std::uint8_t index) {
        const unsigned bits = showing(color);
        for (unsigned at = 0; at < kCount; ++at) {
            if ((bits >> at & 1) != 0) indices_[at] = index;
        }
        return bits;
    }
    void put_indices(std::uint8_t* to) const {
        for (std::size_t at = 0; at < kCount; at += 2)
            *to++ = static_cast<std::uint8_t>(indices_[at] << 4 | indices_[at + 1]);
    }

  private:
    std::uint32_t pixels_[kCount];
    std::uint8_t indices_[kCount] = {};
};
#endif

// The last pixels of a row, and black ones behind them.
Sixteen last_of(const std::uint32_t* at, const std::uint32_t* end) {
    std::uint32_t pixels[Sixteen::kCount] = {};
    std::copy(at, end, pixels);
    return Sixteen(pixels);
}

// The order of the bits in each byte turned round.
constexpr std::array<std::uint8_t, 256> kTurnedRound = [] {
    std::array<std::uint8_t, 256> turned{};
    for (unsigned byte = 0; byte < turned.size(); ++byte) {
        for (unsigned bit = 0; bit < 8; ++bit)
            turned[byte] |= static_cast<std::uint8_t>((byte >> bit & 1) << (7 - bit));
    }
    return turned;
}();

// What sixteen pixels come to; behind a row's end the next row is written, or nothing.
constexpr std::size_t kSlack = 8;

// Whoever writes all of it anew needs no zeros.
void make_room(std::vector<std::uint8_t>& bytes, std::size_t size) {
    if (bytes.size() < size) bytes.resize(size);
}

// Calls take(pixels, which of them, their column) for sixteen after sixteen of a row, until one
// says false.
template <class Take>
[[gnu::always_inline]] inline bool for_sixteens(const std::uint8_t* row, std::uint32_t width,
                                                const Take& take) {
    const auto* at = reinterpret_cast<const std::uint32_t*>(row);
    std::uint32_t x = 0;
    for (; width - x >= Sixteen::kCount; x += Sixteen::kCount) {
        Sixteen pixels(at + x);
        if (!take(pixels, Sixteen::kAll, x)) return false;
    }
    if (x == width) return true;
    Sixteen pixels = last_of(at + x, at + width);
    return take(pixels, (1u << (width - x)) - 1, x);
}

// Much of what is drawn is flat: to see that a row is the one above again takes a fraction of
// looking at its pixels.
bool repeats(const PictureView& picture, std::uint32_t y) {
    return y > 0 && std::memcmp(picture.row(y), picture.row(y - 1), picture.width * 4ul) == 0;
}

}  // namespace

bool Indexer::index(const PictureView& picture) {
    const bool is_whole = codec::is_aligned(picture.rows) && picture.stride % 4 == 0;
    if (picture.format != PixelFormat::bgrx32 || !is_whole ||
        std::uint64_t{picture.width} * picture.height < kLeastPixels)
        return false;
    if (collect_two(picture)) {
        show(PixelFormat::one_bit_be, picture);
        return true;
    }
    if (!collect(picture)) return false;
    sort();
    rank_halves(codec::row_size(PixelFormat::four_bit_be, picture.width) * picture.height);
    show(PixelFormat::four_bit_be, picture);
    return true;
}

void Indexer::show(PixelFormat format, const PictureView& picture) {
    view_ = {};
    view_.format = format;
    view_.width = picture.width;
    view_.height = picture.height;
    view_.stride = static_cast<std::ptrdiff_t>(view_.row_bytes());
    view_.rows = rows_.data();
}

// Text on paper. False, soon, where there is a third colour. Who draws on the picture meanwhile
// spoils only his own picture: each pixel is read once.
bool Indexer::collect_two(const PictureView& picture) {
    const std::size_t row = codec::row_size(PixelFormat::one_bit_be, picture.width);
    make_room(rows_, row * picture.height + kSlack);
    std::optional<std::uint32_t> paper;
    std::optional<std::uint32_t> ink;
    for (std::uint32_t y = 0; y < picture.height; ++y) {
        std::uint8_t* const to = rows_.data() + y * row;
        if (repeats(picture, y)) {
            std::memcpy(to, to - row, row);
            continue;
        }
        const auto take = [&](const Sixteen& pixels, unsigned wanted, std::uint32_t x)
            __attribute__((always_inline)) {
            if (!paper) paper = pixels.color(0);
            const unsigned inked = ~pixels.showing(*paper) & wanted;
            if (inked != 0) {
                if (!ink) ink = pixels.color(static_cast<unsigned>(std::countr_zero(inked)));
                if ((inked & ~pixels.showing(*ink)) != 0) return false;
            }
            to[x / 8] = kTurnedRound[inked & 0xff];
            to[x / 8 + 1] = kTurnedRound[inked >> 8];
            return true;
        };
        if (!for_sixteens(picture.row(y), picture.width, take)) return false;
    }
    palette_ = {*paper};
    if (ink) palette_.push_back(*ink);
    // The lower colour comes first.
    if (!ink || *paper < *ink) return true;
    std::swap(palette_[0], palette_[1]);
    for (std::size_t at = 0; at < row * picture.height; ++at)
        rows_[at] = static_cast<std::uint8_t>(~rows_[at]);
    return true;
}

// False as soon as there is a colour too many: most pictures of many colours show it at once.
bool Indexer::collect(const PictureView& picture) {
    palette_.clear();
    const std::size_t row = codec::row_size(PixelFormat::four_bit_be, picture.width);
    make_room(rows_, row * picture.height + kSlack);
    for (std::uint32_t y = 0; y < picture.height; ++y) {
        std::uint8_t* const to = rows_.data() + y * row;
        if (repeats(picture, y)) {
            std::memcpy(to, to - row, row);
            continue;
        }
        const auto take = [&](Sixteen & pixels, unsigned wanted, std::uint32_t x)
            __attribute__((always_inline)) {
            while (wanted != 0) {
                const std::uint32_t color =
                    pixels.color(static_cast<unsigned>(std::countr_zero(wanted)));
                const auto found = std::find(palette_.begin(), palette_.end(), color);
                const auto index = static_cast<std::uint8_t>(found - palette_.begin());
                if (found == palette_.end()) {
                    if (palette_.size() == kMostColors) return false;
                    palette_.push_back(color);
                }
                wanted &= ~pixels.mark(color, index);
            }
            pixels.put_indices(to + x / 2);
            return true;
        };
        if (!for_sixteens(picture.row(y), picture.width, take)) return false;
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
void Indexer::rank_halves(std::size_t size) {
    if (std::is_sorted(rank_.begin(), rank_.begin() + static_cast<std::ptrdiff_t>(palette_.size())))
        return;
    std::array<std::uint8_t, 256> ranked;
    for (unsigned pair = 0; pair < ranked.size(); ++pair)
        ranked[pair] = static_cast<std::uint8_t>(rank_[pair >> 4] << 4 | rank_[pair & 15]);
    // Eight bytes at a time, up to what may stand behind the last row: many are as those before.
    std::uint8_t eight[8] = {};
    std::uint8_t eight_ranked[8];
    std::fill(std::begin(eight_ranked), std::end(eight_ranked), ranked[0]);
    static_assert(kSlack >= sizeof eight);
    std::uint8_t* const rows = rows_.data();
    for (std::size_t at = 0; at < size; at += sizeof eight) {
        if (std::memcmp(rows + at, eight, sizeof eight) != 0) {
            std::memcpy(eight, rows + at, sizeof eight);
            for (std::size_t byte = 0; byte < sizeof eight; ++byte)
                eight_ranked[byte] = ranked[eight[byte]];
        }
        std::memcpy(rows + at, eight_ranked, sizeof eight);
    }
}

}  // namespace segue::spice::server
