// SPDX-License-Identifier: LGPL-2.1-or-later
// Prometheus text over HTTP/1.1 on a local socket: GET /metrics, one answer a connection.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>

#include "net/connection.h"
#include "net/listen.h"

namespace segue {

class MetricsServer {
  public:
    // `text` is called for each request, on the loop's thread.
    static Result<std::unique_ptr<MetricsServer>> make(Loop& loop, const std::string& socket_path,
                                                       const net::ListenOptions& options,
                                                       std::function<std::string()> text);

  private:
    static constexpr std::size_t kMaxRequest = 8192;
    static constexpr std::size_t kMaxConnections = 32;
    static constexpr Duration kPatience = 5s;

    struct Client {
        std::unique_ptr<net::Connection> connection;
        std::unique_ptr<Timer> deadline;
        std::string request;
    };

    MetricsServer(Loop& loop, std::function<std::string()> text)
        : loop_(loop), text_(std::move(text)) {}
    void accept(net::Descriptor socket);
    void answer(Client& client);
    void remove(Client* client);

    Loop& loop_;
    std::function<std::string()> text_;
    std::list<Client> clients_;
    std::unique_ptr<net::Listener> listener_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace segue
