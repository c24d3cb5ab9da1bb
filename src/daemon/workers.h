// SPDX-License-Identifier: LGPL-2.1-or-later
// Threads for what may wait without bound: files on storage that does not answer, images that are
// written. The loop goes on meanwhile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>

#include "base/loop.h"

namespace segue {

class Workers {
  public:
    // At the same time; more work waits for its turn.
    static constexpr std::size_t kMaxThreads = 64;

    explicit Workers(Loop& loop);
    // Threads that are still held up are left alone; no `done` is called any more.
    ~Workers();
    Workers(const Workers&) = delete;
    Workers& operator=(const Workers&) = delete;

    // `work` runs on a thread, and holds nothing that belongs to the loop's; `done` comes on the
    // loop afterwards, never from inside this call.
    void run(std::function<void()> work, std::function<void()> done);

  private:
    struct Shared;

    std::shared_ptr<Shared> shared_;
    std::map<std::uint64_t, std::function<void()>> done_;
    std::uint64_t last_ = 0;
};

}  // namespace segue
