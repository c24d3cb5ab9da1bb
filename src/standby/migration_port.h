// SPDX-License-Identifier: LGPL-2.1-or-later
// The link of a primary: its stream goes straight into the session's log, our messages go back.
#pragma once

#include <functional>
#include <memory>

#include "net/listen.h"
#include "net/tls.h"
#include "protect/secondary_session.h"

namespace segue::standby {

class MigrationPort {
  public:
    struct Handlers {
        // False: the newcomer is refused.
        std::function<bool()> connected;
        std::function<Result<std::span<std::uint8_t>>()> space;
        std::function<Result<>(std::size_t)> received;
        // The link is closed already; `at_fault` when the primary sent something wrong.
        std::function<void(const Error& reason, bool at_fault)> lost;
    };

    static Result<std::unique_ptr<MigrationPort>> make(Loop& loop, const net::Address& address,
                                                       std::shared_ptr<net::TlsContext> tls,
                                                       Handlers handlers);

    void send(ColoMessage message);
    // Closes the link without telling `lost`.
    void drop();
    bool is_linked() const { return static_cast<bool>(socket_); }
    std::string address() const { return listener_->local().text(); }

  private:
    MigrationPort(Loop& loop, std::shared_ptr<net::TlsContext> tls, Handlers handlers);
    void accept(net::Descriptor socket, const net::SocketAddress& peer);
    void on_readable();
    // Each returns false when nothing more can be read now, or the link is gone.
    bool read_plain();
    bool read_filtered();
    Result<> deliver(ByteView bytes);
    void write(ByteView bytes);
    void close_with(const Error& reason, bool at_fault);

    Loop& loop_;
    std::shared_ptr<net::TlsContext> tls_;
    Handlers handlers_;
    std::unique_ptr<net::Listener> listener_;
    net::Descriptor socket_;
    bool is_tcp_ = false;
    std::unique_ptr<net::ByteFilter> filter_;
    std::unique_ptr<Watch> watch_;
    std::string peer_;
    std::uint64_t link_ = 0;  // counts links: a callback sees whether it is still the same one
};

}  // namespace segue::standby
