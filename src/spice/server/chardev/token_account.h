// SPDX-License-Identifier: LGPL-2.1-or-later
// The tokens of one client of a flow-controlled device: how many messages it may send to the guest,
// and how many it takes from there. Both sides count; a message without a token breaks the
// protocol.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "spice/server/chardev/device_port.h"

namespace segue::spice::server {

class TokenAccount {
  public:
    // What a client begins with, and how many are given back at once (REDS_AGENT_WINDOW_SIZE and
    // REDS_TOKENS_TO_SEND of stock: the target of a migration counts on the same).
    static constexpr std::uint32_t kWindow = 10;
    static constexpr std::uint32_t kGiveBack = 5;

    // From the client. False: it had no token.
    bool spend() {
        if (may_send_ == 0) return false;
        --may_send_;
        return true;
    }
    // The guest took messages worth so many tokens, which the client is told later.
    void freed(std::uint32_t tokens) {
        freed_ = std::min(kWindow, freed_ + std::min(tokens, kWindow));
    }
    // The guest took messages worth so many tokens; the result is to be granted to the client now.
    std::uint32_t paid_back(std::uint32_t tokens) {
        freed(tokens);
        if (freed_ < kGiveBack) return 0;
        const std::uint32_t granted = std::min(freed_, kWindow - std::min(kWindow, may_send_));
        freed_ = 0;
        may_send_ += granted;
        return granted;
    }

    // To the client.
    void granted_by_client(std::uint32_t tokens) {
        constexpr std::uint32_t kMost = std::numeric_limits<std::uint32_t>::max();
        may_take_ = tokens > kMost - may_take_ ? kMost : may_take_ + tokens;
    }
    void set_granted_by_client(std::uint32_t tokens) { may_take_ = tokens; }
    bool may_take() const { return may_take_ > 0; }
    void took() { --may_take_; }

    // Into and out of the state that moves with the machine.
    void capture(wire::migration::CharDevice& state) const {
        state.client_tokens = may_send_;
        state.send_tokens = may_take_;
    }
    // The numbers came through the client: more than its window it never gets.
    void restore(const wire::migration::CharDevice& state) {
        may_send_ = std::min(state.client_tokens, kWindow);
        const std::uint32_t written = std::min(state.write_client_tokens, kWindow - may_send_);
        freed_ = kWindow - may_send_ - written;
        may_take_ = state.send_tokens;
    }

  private:
    std::uint32_t may_send_ = kWindow;
    std::uint32_t freed_ = 0;  // taken by the guest, not yet granted again
    std::uint32_t may_take_ = 0;
};

}  // namespace segue::spice::server
