// SPDX-License-Identifier: LGPL-2.1-or-later
// A set of capability bits, as the u32 words of the link handshake. The numbers are the
// `Capability` enums of the channels' schemas, and CommonCapability of types.schema.
//
//   const Capabilities offered = Capabilities::of({display::Capability::monitors_config, …});
//   if (theirs.has(main::Capability::seamless_migrate)) …
#pragma once

#include <cstdint>
#include <initializer_list>
#include <utility>
#include <vector>

namespace segue::spice::wire {

class Capabilities {
  public:
    Capabilities() = default;
    explicit Capabilities(std::vector<std::uint32_t> words) : words_(std::move(words)) {}
    template <class Capability>
    static Capabilities of(std::initializer_list<Capability> all) {
        Capabilities set;
        for (const Capability one : all)
            set.add(one);
        return set;
    }

    template <class Capability>
    void add(Capability one) {
        const auto bit = static_cast<std::uint32_t>(one);
        if (words_.size() <= bit / 32) words_.resize(bit / 32 + 1);
        words_[bit / 32] |= 1u << (bit % 32);
    }
    template <class Capability>
    bool has(Capability one) const {
        const auto bit = static_cast<std::uint32_t>(one);
        return bit / 32 < words_.size() && (words_[bit / 32] >> (bit % 32) & 1) != 0;
    }
    const std::vector<std::uint32_t>& words() const { return words_; }

    friend bool operator==(const Capabilities&, const Capabilities&) = default;

  private:
    std::vector<std::uint32_t> words_;
};

}  // namespace segue::spice::wire
