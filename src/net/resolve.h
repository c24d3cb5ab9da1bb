// SPDX-License-Identifier: LGPL-2.1-or-later
// Host names to addresses without holding up the loop: the system's resolver runs on a thread of
// its own for each question, and may take as long as it likes.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/loop.h"
#include "net/address.h"

namespace segue::net {

class Resolver {
  public:
    using OnResolved = std::function<void(Result<std::vector<SocketAddress>>)>;

    // Questions that a slow name server may hold at once; one more is error limit_exceeded.
    static constexpr int kMaxRunning = 16;

    // After destruction of the resolver no callback runs; the loop must outlive the resolver.
    explicit Resolver(Loop& loop);
    ~Resolver();

    // Calls back on the loop's thread, never from inside this call; numeric addresses need no
    // thread. The answer is dropped when the returned handle is gone.
    std::shared_ptr<void> resolve(std::string host, std::uint16_t port, OnResolved on_resolved);

  private:
    struct Shared;
    std::shared_ptr<Shared> shared_;
};

}  // namespace segue::net
