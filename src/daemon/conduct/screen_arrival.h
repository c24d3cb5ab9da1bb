// SPDX-License-Identifier: LGPL-2.1-or-later
// The destination's part of the screen: takes what the viewers have from the source's daemon,
// piece by piece, and gives it to our library in the incoming QEMU. Both only pass it on: what is
// in it concerns the two libraries.
#pragma once

#include <memory>
#include <string>

#include "daemon/spice_line.h"
#include "migrate/peer_link.h"

namespace segue {

class ScreenArrival {
  public:
    struct Handlers {
        // Our library is there and takes state.
        std::function<void()> carries;
        std::function<void(bool last)> taken;
    };

    // A stock library has no control socket: nothing is called then.
    ScreenArrival(Loop& loop, net::Resolver& resolver, const std::string& control,
                  Handlers handlers);

    // Fails where the pieces of one state are more than a library takes.
    Result<> piece(const migrate::ScreenPiece& piece);
    // The machine is here, and stays paused: QEMU tells the library only of one that runs.
    void machine_arrived() { library_.tell(spice::control::CommandKind::machine_arrived); }

  private:
    Handlers handlers_;
    Bytes state_;
    SpiceLine library_;
};

}  // namespace segue
