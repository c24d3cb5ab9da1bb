// SPDX-License-Identifier: LGPL-2.1-or-later
// State that travels through a client, sealed: the two servers of a move share a key that the
// client never sees (it goes beside it, with the carried state), so a state that a client made up
// is refused.
#pragma once

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

}  // namespace segue::spice::server
