// SPDX-License-Identifier: LGPL-2.1-or-later
// The beats of a simulated protection, as far as they carry the standby's word (the real
// bookkeeping of both sides): datagrams are lost and late, each clock is as wrong as it may be.
#pragma once

#include <functional>

#include "protect/release_promise.h"
#include "sim/sim_witness.h"

namespace segue::sim {

class SimBeats {
  public:
    explicit SimBeats(World& world)
        : world_(world),
          agent_error_(SimWitness::clock_error(world)),
          standby_error_(SimWitness::clock_error(world)),
          giver_(standby_clock()) {
        giver_.expect();
        tick();
    }
    // Whether each side's heart beats now.
    std::function<bool()> agent_beats, standby_beats;

    bool may_release() const { return taker_.holds(agent_clock()); }
    Duration part() { return giver_.part(standby_clock()); }
    // The way between them is gone, with the link.
    void cut() { cut_ = true; }

  private:
    Instant agent_clock() const { return SimWitness::clock_of(world_.now(), agent_error_); }
    Instant standby_clock() const { return SimWitness::clock_of(world_.now(), standby_error_); }

    void tick() {
        if (agent_beats && agent_beats()) {
            taker_.sent(++number_, agent_clock());
            arrives([this, number = number_] { giver_.heard(number, standby_clock()); });
        }
        if (standby_beats && standby_beats()) {
            arrives([this, number = giver_.newest()] { taker_.repeated(number); });
        }
        world_.after(50ms, [this] { tick(); });
    }
    void arrives(std::function<void()> task) {
        if (world_.chance(5)) return;
        world_.after(world_.between(0ms, 30ms), [this, task = std::move(task)] {
            if (!cut_) task();
        });
    }

    World& world_;
    std::int64_t agent_error_, standby_error_;
    PromiseGiver giver_;
    PromiseTaker taker_;
    std::uint64_t number_ = 0;
    bool cut_ = false;
};

}  // namespace segue::sim
