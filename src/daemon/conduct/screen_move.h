// SPDX-License-Identifier: LGPL-2.1-or-later
// Carries the users' screens along: carries out what screen::Screen decides. It tells the source's
// QEMU where the target's screen is, hears who is linked there (from our library on its control
// socket, else from the destination, channel by channel), and passes what the viewers have from
// our library here to the destination.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/loop.h"
#include "daemon/guest.h"
#include "daemon/spice_line.h"
#include "migrate/peer_link.h"
#include "observe/timeline.h"
#include "screen/screen.h"

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
    struct Handlers {
        // Once, never from inside start(), unless drop() comes first.
        std::function<void(const ScreenOutcome&)> ready;
        // A state for the destination's library.
        std::function<void(bool last, ByteView state)> state;
    };

    // Each step becomes a phase of the timeline, which outlives this object.
    ScreenMove(Loop& loop, net::Resolver& resolver, Timeline& timeline)
        : loop_(loop), resolver_(resolver), timeline_(timeline) {}

    // A destination that reports no links (a stock one) costs the whole bound, where there are
    // viewers and the library here is stock's. `control` is the path of our library's socket.
    void start(Guest& guest, const ScreenTarget& target, Duration bound, const std::string& control,
               Handlers handlers);

    // --- What happens meanwhile ---
    // The destination says that this channel is linked there; may come before start().
    void linked(migrate::LinkedChannel channel);
    // The destination's library takes state, and has taken one.
    void target_carries();
    void target_took(bool last);
    void viewer_left();
    void guest_stopped();
    void guest_resumed();
    void switched();
    void drop();

  private:
    void begin(Duration bound, bool our_library);
    void feed(const screen::Input& input);
    void carry_out(const screen::Action& action);
    void library_says(const spice::control::Event& event, Bytes bytes);
    void library_is_lost();
    void ask_viewers();
    void announce();
    void start_bulk();
    void finish(bool moving);

    Loop& loop_;
    net::Resolver& resolver_;
    Timeline& timeline_;
    Handlers handlers_;
    Guest* guest_ = nullptr;
    ScreenTarget target_;
    std::optional<screen::Screen> screen_;
    std::unique_ptr<SpiceLine> library_;
    Guest::Viewers wanted_;
    Guest::Viewers linked_;
    bool target_carries_ = false;
    bool wants_bulk_ = false;  // as soon as the destination says that it takes it
    std::unique_ptr<Timer> timer_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace segue
