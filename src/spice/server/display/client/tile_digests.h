// SPDX-License-Identifier: LGPL-2.1-or-later
// What a client shows of a surface, as a digest of each tile: the server that takes over draws the
// whole screen anew (QEMU's simple displays do so when a machine arrives), and need not send what
// turns out to be the same.
#pragma once

#include <cstdint>
#include <vector>

#include "spice/canvas/image.h"

namespace segue::spice::server {

class TileDigests {
  public:
    static constexpr std::int32_t kSide = 64;  // pixels

    TileDigests() = default;
    // Of the tiles that `unlike` leaves alone: there, the client has these pixels. Formats of less
    // than 16 bits have none.
    static TileDigests of(const canvas::Image& image, const canvas::Region& unlike);
    // As values() of another server gave them for a surface of this size; nothing fits any other.
    static TileDigests from(std::int32_t width, std::int32_t height,
                            std::vector<std::uint64_t> values);

    // Takes those tiles out of `stale` whose pixels in the image are the client's. Good only until
    // the client is sent anything.
    void spare(const canvas::Image& image, canvas::Region& stale) const;
    bool empty() const { return values_.empty(); }
    // Row by row; 0: unknown.
    const std::vector<std::uint64_t>& values() const { return values_; }
    static std::size_t count(std::int32_t width, std::int32_t height);

    friend bool operator==(const TileDigests&, const TileDigests&) = default;

  private:
    template <class Action>
    void for_tiles(const canvas::Rect& within, const Action& action) const;
    canvas::Rect tile(std::size_t column, std::size_t row) const;

    std::int32_t width_ = 0;
    std::int32_t height_ = 0;
    std::vector<std::uint64_t> values_;
};

}  // namespace segue::spice::server
