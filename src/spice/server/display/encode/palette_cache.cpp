// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/encode/palette_cache.h"

namespace segue::spice::server {

PaletteCache::Place PaletteCache::use(const Colors& colors) {
    Place place;
    auto [found, is_new] = by_colors_.try_emplace(colors);
    Entry& entry = found->second;
    if (is_new) {
        entry.id = ++last_id_;
    } else {
        by_use_.erase(entry.use);
    }
    entry.use = next_use_++;
    by_use_.emplace(entry.use, found);
    place.id = entry.id;
    place.is_new = is_new;
    if (by_colors_.size() > kMost) {
        const auto oldest = by_use_.begin();
        place.forgot = oldest->second->second.id;
        by_colors_.erase(oldest->second);
        by_use_.erase(oldest);
    }
    return place;
}

void PaletteCache::clear() {
    by_use_.clear();
    by_colors_.clear();
}

}  // namespace segue::spice::server
