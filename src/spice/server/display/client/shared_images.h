// SPDX-License-Identifier: LGPL-2.1-or-later
// The order in which the display channels of one client use the image cache that they share, where
// a hand-over has put images of another server's into it: one channel, the freezer, empties the
// cache when the others' last uses of it are over, and the others use it again when it is empty.
// Each channel runs on a thread of its own; none waits for another: it is the client that waits.
//
// Source: SpiceMigrateDataDisplay (pixmap_cache_freezer, pixmap_cache_clients) and the messages
// INVAL_ALL_PIXMAPS and WAIT_FOR_CHANNELS of spice-protocol.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "spice/wire/types.schema.h"

namespace segue::spice::server {

namespace wire = segue::spice::wire;

class SharedImages {
  public:
    // Channels that may share one: version 1 of the state has room for no more.
    static constexpr std::size_t kSharers = 4;
    // By channel: the serial of its last message that used the cache; 0: none.
    using LastUses = std::array<std::uint64_t, kSharers>;

    // --- The hand-over at the source ---
    // Whether this channel carries the state of the cache: the first that asks does.
    bool is_freezer(std::uint8_t channel);
    void thaw();
    void channel_left(std::uint8_t channel);
    LastUses last_uses() const;

    // --- The hand-over at the target ---
    // What a channel's state says of the others.
    void came(const LastUses& uses);
    // Images of another server's are in it: nobody uses it until they are gone.
    void close();
    // `channel` empties it with its message `serial`, for which the client must wait for these.
    std::vector<wire::WaitForChannel> empty(std::uint8_t channel, std::uint64_t serial);

    // --- Use ---
    // Emptied since `generation`: the message that the client must wait for before this channel
    // uses the cache again; `generation` is the newest then.
    std::optional<wire::WaitForChannel> emptied_since(std::uint64_t& generation) const;
    bool may_use(std::uint8_t channel, std::uint64_t generation) const;
    // The channel is about to use it in its message `serial`; false: it may not.
    bool use(std::uint8_t channel, std::uint64_t generation, std::uint64_t serial);

  private:
    bool is_open_to(std::uint8_t channel, std::uint64_t generation) const;

    mutable std::mutex mutex_;
    std::optional<std::uint8_t> freezer_;
    LastUses last_uses_{};
    bool is_open_ = true;
    std::uint64_t generation_ = 0;
    wire::WaitForChannel emptied_by_;
};

}  // namespace segue::spice::server
