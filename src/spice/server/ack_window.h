// SPDX-License-Identifier: LGPL-2.1-or-later
// How many messages may be under way to a client: it acknowledges each `window` of them.
#pragma once

#include <cstdint>

namespace segue::spice::server {

class AckWindow {
  public:
    // Two windows may be under way, so that the line is not idle while an acknowledgement travels.
    static constexpr std::uint32_t kWindowsUnderWay = 2;

    // Starts counting anew; returns the generation to announce.
    std::uint32_t restart(std::uint32_t window) {
        window_ = window;
        under_way_ = 0;
        in_window_ = 0;
        return ++generation_;
    }
    std::uint32_t window() const { return window_; }

    // True: the client acknowledges when it has this message.
    bool sent() {
        if (window_ == 0) return false;
        ++under_way_;
        if (++in_window_ < window_) return false;
        in_window_ = 0;
        return true;
    }
    bool is_open(std::uint32_t windows = kWindowsUnderWay) const {
        return window_ == 0 || under_way_ < window_ * windows;
    }

    // The client counts with this generation from now on.
    void synced(std::uint32_t generation) { client_generation_ = generation; }
    // Acknowledgements of an older generation mean nothing. True: the window may have opened.
    bool acked() {
        if (window_ == 0 || client_generation_ != generation_) return false;
        under_way_ = under_way_ > window_ ? under_way_ - window_ : 0;
        return true;
    }

  private:
    std::uint32_t window_ = 0;  // 0: not in use
    std::uint32_t under_way_ = 0;
    std::uint32_t in_window_ = 0;
    std::uint32_t generation_ = 0;
    std::uint32_t client_generation_ = 0;
};

}  // namespace segue::spice::server
