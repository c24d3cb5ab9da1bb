// SPDX-License-Identifier: LGPL-2.1-or-later
// Carries the users' screens along: tells the source QEMU where the target's screen is, and waits,
// within a bound, until each channel that a viewer has here is linked there. The wait stands before
// QEMU's `migrate`: viewers that are still linking when the guest has moved lose their session.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/loop.h"
#include "daemon/guest.h"
#include "migrate/peer_link.h"

namespace segue {

struct ScreenTarget {
    std::string host;
    std::int32_t port = -1;
    std::int32_t tls_port = -1;
    std::string tls_subject;

    bool exists() const { return !host.empty() && (port > 0 || tls_port > 0); }
};

struct ScreenOutcome {
    bool moving = false;      // viewers follow: QEMU will say SPICE_MIGRATE_COMPLETED
    std::size_t viewers = 0;  // channels that had to be linked
    std::size_t linked = 0;   // channels that were, when the wait ended
};

class ScreenMove {
  public:
    using Ready = std::function<void(const ScreenOutcome&)>;

    explicit ScreenMove(Loop& loop) : loop_(loop) {}

    // `ready` is called once, never from inside this call, unless drop() comes first. A destination
    // that reports no links (a stock one) costs the whole bound, where there are viewers.
    void start(Guest& guest, const ScreenTarget& target, Duration bound, Ready ready);
    // The destination says that this channel is linked there; may come before start().
    void linked(migrate::LinkedChannel channel);
    void drop();

  private:
    void announce(Guest& guest, const ScreenTarget& target, Duration bound);
    void check();
    void finish(bool moving);

    Loop& loop_;
    Guest::Viewers wanted_;
    Guest::Viewers linked_;
    Ready ready_;
    bool announced_ = false;
    std::unique_ptr<Timer> timer_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace segue
