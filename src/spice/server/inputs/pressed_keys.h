// SPDX-License-Identifier: LGPL-2.1-or-later
// Which keys a client holds down, read from the scan codes that it sends: what has to be let go of
// when it goes without saying so.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

namespace segue::spice::server {

class PressedKeys {
  public:
    // The next byte of set 1: 0xe0 and 0xe1 begin a longer code, bit 7 is a release.
    void pushed(std::uint8_t byte) {
        if (byte == kExtended || byte == kPause) {
            prefix_ = byte;
            pause_left_ = byte == kPause ? 2 : 0;
            return;
        }
        if (prefix_ == kPause) {  // the pause key has no release of its own
            if (--pause_left_ == 0) prefix_ = 0;
            return;
        }
        const Key key{std::exchange(prefix_, std::uint8_t{0}), byte & ~kReleased};
        if ((byte & kReleased) != 0) {
            down_.erase(key);
        } else {
            down_.insert(key);
        }
    }
    // The bytes that let go of all; none is down afterwards.
    std::vector<std::uint8_t> release() {
        std::vector<std::uint8_t> bytes;
        for (const auto& [prefix, code] : std::exchange(down_, {})) {
            if (prefix != 0) bytes.push_back(prefix);
            bytes.push_back(static_cast<std::uint8_t>(code | kReleased));
        }
        prefix_ = 0;
        return bytes;
    }

  private:
    using Key = std::pair<std::uint8_t, int>;
    static constexpr std::uint8_t kExtended = 0xe0;
    static constexpr std::uint8_t kPause = 0xe1;
    static constexpr int kReleased = 0x80;

    std::uint8_t prefix_ = 0;
    int pause_left_ = 0;
    std::set<Key> down_;  // of 256 at most
};

}  // namespace segue::spice::server
