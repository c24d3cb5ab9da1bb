// SPDX-License-Identifier: LGPL-2.1-or-later
// segue::Loop over the SpiceCoreInterface of the embedder: its main thread.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "base/loop.h"
#include "base/result.h"
#include "net/descriptor.h"
#include "spice/abi/spice_headers.h"

namespace segue::spice::abi {

class CoreLoop final : public Loop {
  public:
    // Fails when the interface lacks what we need, or the system has no descriptor left.
    static Result<std::unique_ptr<CoreLoop>> make(const SpiceCoreInterface& core);
    // Nothing that was posted runs any more; watches and timers must be gone.
    ~CoreLoop() override;

    const Clock& clock() const override { return clock_; }
    std::unique_ptr<Timer> make_timer(std::function<void()> on_expiry) override;
    std::unique_ptr<Watch> watch(int descriptor, std::function<void(Ready)> on_ready) override;
    void post(std::function<void()> task) override;

  private:
    CoreLoop(const SpiceCoreInterface& core, net::Descriptor wake);
    static void on_wake(int descriptor, int event, void* opaque);
    void run_tasks();

    const SpiceCoreInterface& core_;
    SystemClock clock_;
    net::Descriptor wake_;
    SpiceWatch* wake_watch_ = nullptr;
    std::mutex mutex_;
    std::vector<std::function<void()>> tasks_;  // guarded by mutex_
};

}  // namespace segue::spice::abi
