// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sim/sim_loop.h"

#include "base/check.h"

namespace segue::sim {
namespace {

class SimTimer final : public Timer {
  public:
    SimTimer(World& world, std::function<void()> on_expiry)
        : world_(world), on_expiry_(std::move(on_expiry)) {}

    void start(Duration delay) override {
        lifeline_ = make_lifeline();
        // The timer may be destroyed by what it calls.
        world_.after(delay, lifeline_, [task = on_expiry_] { task(); });
    }
    void cancel() override { lifeline_.reset(); }

  private:
    World& world_;
    std::function<void()> on_expiry_;
    Lifeline lifeline_;
};

}  // namespace

std::unique_ptr<Timer> SimLoop::make_timer(std::function<void()> on_expiry) {
    return std::make_unique<SimTimer>(world_, std::move(on_expiry));
}

std::unique_ptr<Watch> SimLoop::watch(int, std::function<void(Ready)>) {
    ENSURE(false);
    return nullptr;
}

std::chrono::system_clock::time_point SimLoop::wall() const {
    return std::chrono::system_clock::time_point(
        std::chrono::duration_cast<std::chrono::system_clock::duration>(world_.now().since_start));
}

}  // namespace segue::sim
