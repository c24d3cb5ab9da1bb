// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/client/cached_images.h"

#include <utility>

namespace segue::spice::server {

bool CachedImages::use(std::uint64_t id) {
    const auto found = by_id_.find(id);
    if (found == by_id_.end()) return false;
    by_use_.erase(found->second.use);
    found->second.use = next_use_++;
    by_use_.emplace(found->second.use, id);
    return true;
}

void CachedImages::add(std::uint64_t id, std::uint64_t pixels) {
    if (use(id)) return;
    by_use_.emplace(next_use_, id);
    by_id_.emplace(id, Entry{pixels, next_use_++});
    pixels_ += pixels;
}

std::vector<std::uint64_t> CachedImages::make_room(std::uint64_t pixels, std::uint64_t size) {
    std::vector<std::uint64_t> gone;
    while (!by_use_.empty() && pixels_ + pixels > size) {
        const auto oldest = by_use_.begin();
        const auto entry = by_id_.find(oldest->second);
        pixels_ -= entry->second.pixels;
        gone.push_back(oldest->second);
        by_id_.erase(entry);
        by_use_.erase(oldest);
    }
    return gone;
}

std::vector<std::uint64_t> CachedImages::take_all() {
    std::vector<std::uint64_t> gone;
    for (const auto& [use, id] : by_use_)
        gone.push_back(id);
    *this = {};
    return gone;
}

}  // namespace segue::spice::server
