// SPDX-License-Identifier: LGPL-2.1-or-later
// Pictures of few colours as indices into a palette: text needs one bit a pixel.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "spice/codec/picture.h"

namespace segue::spice::server {

namespace codec = segue::spice::codec;

class Indexer {
  public:
    static constexpr std::size_t kMostColors = 16;
    // Below this a palette costs more than it saves.
    static constexpr std::uint64_t kLeastPixels = 1024;

    // Whether the picture (bgrx32) has so few colours; palette() and view() are then of it, until
    // the next call. Others may write to the picture meanwhile.
    bool index(const codec::PictureView& picture);
    // 0x00RRGGBB, in ascending order: the same colours are the same palette.
    const std::vector<std::uint32_t>& palette() const { return palette_; }
    // one_bit_be for up to 2 colours (unless others wrote to it), else four_bit_be.
    const codec::PictureView& view() const { return view_; }

  private:
    bool collect_two(const codec::PictureView& picture);
    bool collect(const codec::PictureView& picture);
    void show(codec::PixelFormat format, const codec::PictureView& picture);
    void sort();
    void rank_halves(std::size_t size);

    std::vector<std::uint32_t> palette_;
    // By order of appearance: the place in the palette.
    std::array<std::uint8_t, kMostColors> rank_{};
    std::vector<std::uint8_t> rows_;
    codec::PictureView view_;
};

}  // namespace segue::spice::server
