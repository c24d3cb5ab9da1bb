// SPDX-License-Identifier: LGPL-2.1-or-later
// DIR/control.sock: one JSON object per line in, one out, in order. An answer may come later.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "base/json.h"
#include "net/connection.h"
#include "net/listen.h"

namespace segue::standby {

class ControlSocket {
  public:
    // Called once for each request, now or later.
    using Reply = std::function<void(Result<Json>)>;
    using OnRequest = std::function<void(const Json& request, Reply reply)>;

    static Result<std::unique_ptr<ControlSocket>> make(Loop& loop, const std::string& path,
                                                       OnRequest on_request);

    static constexpr std::size_t kMaxLine = 64U << 10;
    static constexpr std::size_t kMaxPeers = 64;

  private:
    struct Peer {
        std::unique_ptr<net::Connection> connection;
        std::string input;
    };

    ControlSocket(Loop& loop, OnRequest on_request);
    void accept(net::Descriptor socket);
    void on_input(std::uint64_t id, ByteView bytes);
    void answer(std::uint64_t id, std::string_view line);
    void send(std::uint64_t id, const Json& answer);

    Loop& loop_;
    OnRequest on_request_;
    std::unique_ptr<net::Listener> listener_;
    std::map<std::uint64_t, Peer> peers_;
    std::uint64_t next_id_ = 0;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace segue::standby
