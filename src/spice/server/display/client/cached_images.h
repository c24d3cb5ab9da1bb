// SPDX-License-Identifier: LGPL-2.1-or-later
// Images that the client keeps in its cache by their id, least recently used first. A value: it is
// part of `knowledge`.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

namespace segue::spice::server {

class CachedImages {
  public:
    struct Entry {
        std::uint64_t pixels = 0;
        std::uint64_t use = 0;
        friend bool operator==(const Entry&, const Entry&) = default;
    };

    // True: the client has it, and it is the latest used now.
    bool use(std::uint64_t id);
    bool has(std::uint64_t id) const { return by_id_.count(id) != 0; }
    // The client is about to keep it. It must fit: make_room() first.
    void add(std::uint64_t id, std::uint64_t pixels);
    // Forgets the oldest until `pixels` more fit into `size`; returns what was forgotten.
    std::vector<std::uint64_t> make_room(std::uint64_t pixels, std::uint64_t size);
    std::vector<std::uint64_t> take_all();

    std::uint64_t pixels() const { return pixels_; }
    std::size_t count() const { return by_id_.size(); }
    // Oldest use first.
    const std::map<std::uint64_t, std::uint64_t>& by_use() const { return by_use_; }
    std::uint64_t pixels_of(std::uint64_t id) const { return by_id_.at(id).pixels; }

    friend bool operator==(const CachedImages&, const CachedImages&) = default;

  private:
    std::map<std::uint64_t, Entry> by_id_;
    std::map<std::uint64_t, std::uint64_t> by_use_;
    std::uint64_t next_use_ = 0;
    std::uint64_t pixels_ = 0;
};

}  // namespace segue::spice::server
