// SPDX-License-Identifier: LGPL-2.1-or-later
// Where the rows of pictures stood, by what is on them: what has scrolled is found as a whole
// before a single pixel is looked for.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

#include "spice/codec/lz_match.h"

namespace segue::spice::codec {

class GlzRows {
  public:
    // Bands of so many rows are known: one row of text looks like others, half a line does not.
    static constexpr std::uint32_t kBand = 8;

    struct Place {
        std::uint32_t picture = 0;  // 0: nowhere
        std::uint32_t at = 0;       // the band's first unit in that picture
    };

    // Takes the rows of a picture for find() and enter().
    template <class Unit>
    void read(const Unit* units, std::uint32_t width, std::uint32_t height) {
        width_ = width;
        hashes_.clear();
        if (width * sizeof(Unit) < sizeof(std::uint64_t) || height < kBand) return;
        hashes_.resize(height);
        for (std::uint32_t y = 0; y < height; ++y)
            hashes_[y] = hash_row(units + std::size_t{y} * width, width);
    }
    std::uint32_t bands() const {
        return hashes_.empty() ? 0 : static_cast<std::uint32_t>(hashes_.size()) - kBand + 1;
    }

    // Where the band that begins at row y was seen last; what stands there may be something else.
    Place find(std::uint32_t y) const {
        const std::uint64_t hash = band(y);
        return hash == 0 ? Place{} : places_[hash >> (64 - kTableBits)];
    }
    // Every band of the rows stands in `picture` from now on.
    void enter(std::uint32_t picture) {
        for (std::uint32_t y = 0; y < bands(); ++y) {
            const std::uint64_t hash = band(y);
            if (hash != 0) places_[hash >> (64 - kTableBits)] = {picture, y * width_};
        }
    }
    void clear() { std::fill(places_.begin(), places_.end(), Place{}); }

  private:
    static constexpr unsigned kTableBits = 14;
    static constexpr std::size_t kSamples = 64;
    static constexpr std::uint64_t kFactor = 0x9e3779b97f4a7c15;

    // Of a wide row some pixels are enough: who looks a band up compares all of them.
    template <class Unit>
    static std::uint64_t hash_row(const Unit* row, std::uint32_t width) {
        constexpr std::size_t kStep = 8 / sizeof(Unit);
        const std::size_t step = kStep * std::max<std::size_t>(1, width / kStep / kSamples);
        std::uint64_t hash = 0;
        for (std::size_t x = 0; x + kStep <= width; x += step) {
            hash = std::rotl(hash, 5) ^ ((load_u64(row + x) & LzUnit<Unit>::kMask) * kFactor);
        }
        return hash;
    }

    // 0 where all rows are alike: empty space leads to any other.
    std::uint64_t band(std::uint32_t y) const {
        const std::uint64_t* const rows = &hashes_[y];
        std::uint64_t hash = 0;
        std::uint64_t differ = 0;
        for (std::uint32_t i = 0; i < kBand; ++i) {
            hash = std::rotl(hash, 7) + rows[i];
            differ |= rows[i] ^ rows[0];
        }
        return differ == 0 ? 0 : hash * kFactor;
    }

    std::uint32_t width_ = 0;
    std::vector<std::uint64_t> hashes_;
    std::vector<Place> places_ = std::vector<Place>(1u << kTableBits);
};

}  // namespace segue::spice::codec
