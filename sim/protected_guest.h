// SPDX-License-Identifier: LGPL-2.1-or-later
// A QEMU that is protected, as its peers see it: a guest that counts, each number one frame, and a
// COLO primary that sends its state in QEMU's own format.
#pragma once

#include <functional>

#include "base/bytes.h"
#include "protect/colo_machine.h"
#include "sim/world.h"

namespace segue::sim {

// The number that the device state of a checkpoint carries.
std::uint64_t counter_of(ByteView device_state);

class ProtectedGuest {
  public:
    struct Handlers {
        std::function<void(std::uint64_t number)> frame;
        std::function<void(Bytes stream)> stream;
    };

    ProtectedGuest(World& world, Duration interval, Handlers handlers);

    // The guest counts from here on.
    void boot() { tick(); }
    void migrate();
    void hears(ColoMessage message);
    // COLO is over: it runs alone.
    void go_alone();
    void stop() { runs_ = false; }
    void die();
    bool is_alive() const { return alive_; }
    std::uint64_t counter() const { return counter_; }

  private:
    void tick();
    void checkpoint_due();
    void tell(colo::Event event);
    void send_word(ColoMessage message);
    Bytes state() const;

    World& world_;
    Duration interval_;
    Handlers handlers_;
    colo::Machine<colo::Primary> machine_{colo::Primary::unprotected, colo::Mode::periodic};
    std::uint64_t counter_ = 0;
    bool runs_ = true;
    bool alive_ = true;
    bool alone_ = false;
    Lifeline lifeline_ = make_lifeline();
};

}  // namespace segue::sim
