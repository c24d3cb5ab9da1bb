// SPDX-License-Identifier: LGPL-2.1-or-later
// The state of clients that goes from server to server beside them. At the source: what was told
// in the first state is left out of the final one where it is still so. At the target: the two are
// put together, and kept until their channels ask. No I/O.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "base/bytes.h"
#include "base/result.h"
#include "spice/server/channel.h"

namespace segue::spice::server {

// What it has (its blob), what it shows (digests), what it wished for late. Of no client: what
// stands in the port of a device.
enum class CarriedSection : std::uint8_t { blob, shown, wish, port };

// A piece of the state of a client's channel, as both servers name it.
struct CarriedKey {
    std::uint32_t connection_id = 0;
    ChannelKey channel;
    CarriedSection section = CarriedSection::blob;
    friend auto operator<=>(const CarriedKey&, const CarriedKey&) = default;
};
using CarriedParts = std::map<CarriedKey, Bytes>;

// The parts as bytes, and back; anything that is not such a state is an error that names what.
struct CarriedMessage {
    std::uint32_t move = 0;
    bool last = false;
    StateKey key{};
    CarriedParts parts;
};
Bytes write_carried(const CarriedMessage& message);
Result<CarriedMessage> read_carried(ByteView bytes);

// The source's end of one move after the other.
class StateSender {
  public:
    enum class Step : std::uint8_t { idle, told, last_told, taken };

    // A new move begins: the first state. `key` is this move's own.
    CarriedMessage begin(CarriedParts parts, const StateKey& key);
    // The machine stands still. Only in `told`. What has changed since is told with the parts,
    // whenever and on whichever thread these are there.
    class Last {
      public:
        CarriedMessage with(CarriedParts parts) const;

      private:
        friend class StateSender;
        std::uint32_t move_ = 0;
        StateKey key_{};
        CarriedParts told_;
    };
    Last finish();
    // It was only paused, and goes on: the final state is void, and a first one follows again,
    // under the same key. Only when finished, or taken.
    CarriedMessage begin_again(CarriedParts parts);
    // What changed after that. Only when finished, or taken.
    std::optional<CarriedMessage> more(CarriedParts parts);
    // The target has one final state more. True: it has all of them now, and somebody waits for it.
    bool taken();
    void drop();
    // There is another target, which knows nothing of this.
    void forget();

    Step step() const { return step_; }
    // Of the move that was begun last: whatever became of the state, its target asks for the seal.
    const std::optional<StateKey>& key() const { return key_; }

  private:
    CarriedMessage first_state(CarriedParts parts);

    Step step_ = Step::idle;
    std::uint32_t move_ = 0;
    std::optional<StateKey> key_;
    std::size_t not_taken_ = 0;  // final states that the target has not confirmed
    CarriedParts told_;
};

// The target's end. A later move replaces an earlier one.
class StateKeeper {
  public:
    // True: it is complete now. A final state without its first one is refused.
    Result<bool> take(CarriedMessage message);
    const CarriedParts& parts() const { return parts_; }

  private:
    std::optional<std::uint32_t> move_;
    CarriedParts parts_;
};

}  // namespace segue::spice::server
