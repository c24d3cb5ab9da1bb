// SPDX-License-Identifier: LGPL-2.1-or-later
// A peer link on a socket: the thin I/O around migrate::PeerLink. Callbacks run on the loop, never
// from inside a call of this object, and may destroy it.
#pragma once

#include <functional>
#include <memory>

#include "migrate/peer_link.h"
#include "net/connection.h"

namespace segue {

class PeerLine {
  public:
    struct Handlers {
        std::function<void(const migrate::PeerMessage&)> message;
        // Once, and last: the line is gone.
        std::function<void(const Error&)> lost;
    };

    PeerLine(Loop& loop, net::Descriptor socket, migrate::PeerLink link,
             std::unique_ptr<net::ByteFilter> tls, Handlers handlers);

    void set_handlers(Handlers handlers) { handlers_ = std::move(handlers); }
    void accept();
    void send(migrate::peer::Kind kind);
    void give(const migrate::GivenRight& right);
    void tell_linked(migrate::LinkedChannel channel);
    void send_screen(bool last, ByteView state);
    void tell_taken(bool last);
    bool is_secure() const { return connection_->filter() != nullptr; }
    // Sends what waits, then closes; no handler runs any more.
    void close();

  private:
    void flush();
    void on_input(ByteView bytes);
    void fail_with(const Error& error);

    Loop& loop_;
    migrate::PeerLink link_;
    Handlers handlers_;
    std::unique_ptr<net::Connection> connection_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace segue
