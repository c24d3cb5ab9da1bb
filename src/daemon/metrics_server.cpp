// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/metrics_server.h"

namespace segue {
namespace {

Bytes to_bytes(std::string_view text) {
    return {text.begin(), text.end()};
}

Bytes response(std::string_view status, std::string_view body) {
    return to_bytes(
        fmt::format("HTTP/1.1 {}\r\nContent-Type: text/plain; version=0.0.4\r\n"
                    "Content-Length: {}\r\nConnection: close\r\n\r\n{}",
                    status, body.size(), body));
}

}  // namespace

Result<std::unique_ptr<MetricsServer>> MetricsServer::make(Loop& loop,
                                                           const std::string& socket_path,
                                                           const net::ListenOptions& options,
                                                           std::function<std::string()> text) {
    std::unique_ptr<MetricsServer> server(new MetricsServer(loop, std::move(text)));
    server->listener_ = TRY(net::Listener::make(
        loop, net::Address::of_unix(socket_path), options,
        [raw = server.get()](net::Descriptor socket, const net::SocketAddress&) {
            raw->accept(std::move(socket));
        }));
    return server;
}

void MetricsServer::accept(net::Descriptor socket) {
    if (clients_.size() >= kMaxConnections) return;  // closes it
    Client& client = clients_.emplace_back();
    client.connection = std::make_unique<net::Connection>(
        loop_, std::move(socket),
        net::Connection::Handlers{.on_input =
                                      [this, &client](ByteView bytes) {
                                          client.request.append(bytes.begin(), bytes.end());
                                          answer(client);
                                      },
                                  .on_closed = [this, &client](const Error&) { remove(&client); },
                                  .on_drained = {},
                                  .on_filter_open = {},
                                  .on_end_of_input = {}});
    client.deadline = loop_.make_timer([this, &client] { remove(&client); });
    client.deadline->start(kPatience);
    client.connection->start();
}

void MetricsServer::answer(Client& client) {
    if (client.request.size() > kMaxRequest) {
        client.connection->send(response("431 Request Header Fields Too Large", ""));
    } else if (client.request.find("\r\n\r\n") == std::string::npos) {
        return;
    } else if (client.request.starts_with("GET /metrics ")) {
        client.connection->send(response("200 OK", text_()));
    } else {
        client.connection->send(response("404 Not Found", "GET /metrics\n"));
    }
    client.connection->close_after_output(kPatience);
}

// Posted: the connection's own callback may be what asks for it.
void MetricsServer::remove(Client* client) {
    loop_.post([this, client, alive = std::weak_ptr<bool>(alive_)] {
        if (alive.expired()) return;
        clients_.remove_if([client](const Client& one) { return &one == client; });
    });
}

}  // namespace segue
