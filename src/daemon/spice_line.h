// SPDX-License-Identifier: LGPL-2.1-or-later
// The daemon's end of a QEMU's SPICE control socket (spice/control/messages.h): our library listens
// there, stock's does not. Callbacks run on the loop, never from inside a call of this object, and
// may destroy it.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/loop.h"
#include "net/connect.h"
#include "net/connection.h"
#include "spice/control/line_reader.h"

namespace segue {

class SpiceLine {
  public:
    struct Handlers {
        // Our library is there.
        std::function<void()> connected;
        // `bytes`: what an event announced.
        std::function<void(const spice::control::Event&, Bytes bytes)> event;
        // Once, and last: nobody is there (stock's library), or the line is gone.
        std::function<void()> lost;
    };

    SpiceLine(Loop& loop, net::Resolver& resolver, const std::string& path, Handlers handlers);
    ~SpiceLine();

    bool is_connected() const { return connection_ != nullptr; }
    // Nothing happens while it is not connected.
    void tell(spice::control::CommandKind kind);
    void give_state(bool last, ByteView state);

    static std::string path_in(const std::string& directory) { return directory + "/screen.sock"; }

  private:
    void open(net::Descriptor socket);
    void input(ByteView bytes);
    void take(spice::control::LineReader::Incoming incoming);
    void lose();

    Loop& loop_;
    Handlers handlers_;
    spice::control::LineReader reader_;
    std::unique_ptr<net::Connector> connector_;
    std::unique_ptr<net::Connection> connection_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace segue
