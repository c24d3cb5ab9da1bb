// SPDX-License-Identifier: LGPL-2.1-or-later
// The palettes that a display channel of a client keeps, least recently used first. Not part of
// what a hand-over carries: both servers begin with INVAL_ALL_PALETTES.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace segue::spice::server {

class PaletteCache {
  public:
    using Colors = std::vector<std::uint32_t>;
    // As many as stock's clients are asked to keep.
    static constexpr std::size_t kMost = 128;

    struct Place {
        std::uint64_t id = 0;
        bool is_new = false;  // the client is to be sent the colours, and keeps them
        std::optional<std::uint64_t> forgot;  // what it is to be told to forget first
    };
    Place use(const Colors& colors);
    // The client forgets all.
    void clear();

  private:
    struct Entry {
        std::uint64_t id = 0;
        std::uint64_t use = 0;
    };
    std::map<Colors, Entry> by_colors_;
    std::map<std::uint64_t, std::map<Colors, Entry>::iterator> by_use_;
    std::uint64_t next_use_ = 0;
    std::uint64_t last_id_ = 0;
};

}  // namespace segue::spice::server
