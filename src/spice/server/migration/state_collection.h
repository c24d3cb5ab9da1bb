// SPDX-License-Identifier: LGPL-2.1-or-later
// What the clients have, asked of the workers that know it, and put together where the last of them
// has answered. Whoever asks waits for nobody: it holds QEMU's lock, and its machine stands still.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <set>

#include "spice/server/linked_socket.h"
#include "spice/server/migration/carried_state.h"

namespace segue::spice::server {

// Each that is asked holds a reference, and lets go of it when it has answered, or never will.
class StateCollection {
  public:
    // Called on the thread of the last that is asked, unless the collection is given up before.
    using Done = std::function<void(CarriedParts parts)>;

    // What the asker keeps.
    class Outcome {
      public:
        // When this returns Done has been called, or never will be.
        void give_up();
        // From any thread. False: too late.
        bool add(LinkId link, const CarriedKey& key, Bytes part);
        // The channel has told its state.
        bool has(LinkId link) const;

      private:
        friend class StateCollection;
        mutable std::mutex mutex_;
        Done done_;
        std::set<LinkId> told_;
        CarriedParts parts_;
    };

    explicit StateCollection(Done done);
    ~StateCollection();
    StateCollection(const StateCollection&) = delete;
    StateCollection& operator=(const StateCollection&) = delete;

    const std::shared_ptr<Outcome>& outcome() const { return outcome_; }

  private:
    const std::shared_ptr<Outcome> outcome_ = std::make_shared<Outcome>();
};

}  // namespace segue::spice::server
