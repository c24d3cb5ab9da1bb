// SPDX-License-Identifier: LGPL-2.1-or-later
// base's Loop over the simulated world: one for each process that is simulated, and what waits in
// it is forgotten with it.
#pragma once

#include "base/loop.h"
#include "sim/world.h"

namespace segue::sim {

class SimLoop final : public Loop, private Clock {
  public:
    explicit SimLoop(World& world) : world_(world) {}

    const Clock& clock() const override { return *this; }
    std::unique_ptr<Timer> make_timer(std::function<void()> on_expiry) override;
    // There are no descriptors in a simulation.
    std::unique_ptr<Watch> watch(int descriptor, std::function<void(Ready)> on_ready) override;
    void post(std::function<void()> task) override { world_.after(0ns, lifeline_, task); }

  private:
    Instant now() const override { return world_.now(); }
    std::chrono::system_clock::time_point wall() const override;

    World& world_;
    Lifeline lifeline_ = make_lifeline();
};

}  // namespace segue::sim
