// SPDX-License-Identifier: LGPL-2.1-or-later
// The server: listeners, their sessions, and the bound on both.
//
//   rpc::Dispatcher calls;
//   calls.answer<remote::ConnectGetHostname>([](Session&, const Nothing&) { … });
//   rpc::Server server(loop, calls, options);
//   TRY(server.listen({.address = *net::Address::parse("unix:/run/segue/sock")}));
//
// AUTH_LIST, CONNECT_OPEN, CONNECT_CLOSE, SUPPORTS_FEATURE and the close callback are served here.
#pragma once

#include <map>
#include <vector>

#include "net/listen.h"
#include "net/tls.h"
#include "rpc/session.h"

namespace segue::rpc {

struct ServerOptions {
    SessionOptions session;
    // Read-only sockets, which every user may have, get at most half of it: a crowd there keeps no
    // administrator out. Who comes when it is full is told so in answer to the first call.
    std::size_t max_connections = 10'000;
    // A connection that brings no whole message by then (a TLS handshake that never ends, a port
    // scanner) gives its place back.
    Duration max_silence{30s};
};

struct ListenPoint {
    net::Address address;
    net::ListenOptions options;
    bool read_only = false;
    std::shared_ptr<net::TlsContext> tls;  // for tls addresses: a server's context
    // One that listens at `address` already (systemd made it); none: it is made.
    net::Descriptor socket{};
};

class Server {
  public:
    // `calls` must outlive the server; its handlers may be added until the first connection.
    Server(Loop& loop, Dispatcher& calls, ServerOptions options);
    ~Server();

    // TCP without TLS beyond loopback is error config_unsupported: nothing would authenticate the
    // clients.
    Result<> listen(ListenPoint point);
    // Renewed certificates: for the connections that come from now on.
    void set_tls(const std::shared_ptr<net::TlsContext>& tls);
    bool serves_tls() const;
    // Where the listeners are, in the order of listen(): with the ports that the kernel chose.
    std::vector<net::SocketAddress> addresses() const;

    // Serves a connection that somebody else made (a test, the simulator).
    std::shared_ptr<Session> adopt(std::unique_ptr<Link> link, bool read_only = false);

    // The session of this id, or null.
    std::shared_ptr<Session> find(std::uint64_t id) const;
    std::size_t connections() const { return sessions_.size(); }

    // Takes no new connections and ends the ones there are, telling the clients that asked to know
    // (the numbers of virConnectCloseReason: 0 error, 1 end of file).
    void stop(std::int32_t close_reason = 1);

  private:
    struct Kind;  // what the sessions of a listener share

    void accept(const Kind& kind, net::Descriptor descriptor, const net::SocketAddress& peer);
    std::shared_ptr<Session> add(std::unique_ptr<Link> link, const SessionOptions& options);
    bool is_full(const Kind& kind) const;
    void refuse(std::unique_ptr<Link> link, const net::SocketAddress& peer);
    using Sessions = std::map<std::uint64_t, std::shared_ptr<Session>>;

    void end_silent_ones();
    void end_silent_ones(const Sessions& sessions);
    void watch_silence();

    Loop& loop_;
    Dispatcher& calls_;
    ServerOptions options_;
    SessionOptions read_only_options_;
    std::vector<std::unique_ptr<Kind>> kinds_;
    std::vector<std::unique_ptr<net::Listener>> listeners_;
    Sessions sessions_;
    // Those that are told why they are not served; beside the limit, and few.
    SessionOptions refusal_options_;
    Sessions refused_;
    std::size_t read_only_sessions_ = 0;  // of read-only sockets
    std::uint64_t next_id_ = 1;
    bool refusing_ = false;
    bool watches_silence_ = false;
    std::unique_ptr<Timer> silence_timer_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace segue::rpc
