// SPDX-License-Identifier: LGPL-2.1-or-later
// State that travels through a client, sealed: the two servers of a move share a key that the
// client never sees (it goes beside it, with the carried state), so a state that a client made up
// is refused.
#pragma once

#include <mutex>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "spice/server/channel.h"

namespace segue::spice::server {

// Appends the seal: "SGSL" and an HMAC-SHA256 over the channel and the digest of the state. Other
// servers ignore what stands behind a state.
void seal(Bytes& state, const StateKey& key, ChannelKey channel);
// An error where the seal is missing or wrong.
Result<> check_seal(const SealedState& state, const StateKey& key, ChannelKey channel);
// Of a state what its seal is held against, now or when the key comes.
SealedState sealed_state(ByteView maybe_sealed);
// The state alone.
ByteView without_seal(ByteView maybe_sealed);

// Of one client: states that were quicker than the key, on connections that ended before it came.
// What they did stays, and so they are held against the key, too. Any thread.
class EarlyStates {
  public:
    void keep(ChannelKey channel, const SealedState& state);
    // An error where one of them was not the source's, or nobody can tell.
    Result<> check(const StateKey& key) const;

  private:
    // Nobody whose connections break brings more.
    static constexpr std::size_t kMost = 64;
    mutable std::mutex mutex_;
    std::vector<std::pair<ChannelKey, SealedState>> states_;
    bool overflowed_ = false;
};

}  // namespace segue::spice::server
