// SPDX-License-Identifier: LGPL-2.1-or-later
// What a session stands on: a socket (NetLink), or a connection of the simulator.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "net/connection.h"

namespace segue::rpc {

// How a peer is known, for logs and rights.
struct PeerInfo {
    std::string address;  // "unix, process 1234", "10.0.0.1:4711"
    std::optional<net::PeerCredentials> credentials;
    std::string tls_subject;  // of a verified client certificate
    bool is_local = false;    // unix socket or loopback
};

class Link {
  public:
    struct Handlers {
        std::function<void(ByteView)> on_input;
        // The last call; the link may be destroyed inside.
        std::function<void(const Error&)> on_closed;
        // Output fell below a quarter of a MiB after it stood above.
        std::function<void()> on_drained;
    };

    virtual ~Link() = default;
    // Input comes from now on.
    virtual void start(Handlers handlers) = 0;
    virtual void send(Bytes packet) = 0;
    virtual void send_with_descriptors(Bytes packet, std::vector<net::Descriptor>) = 0;
    virtual std::optional<net::Descriptor> take_descriptor() = 0;
    virtual std::size_t output_waiting() const = 0;
    // While false nothing is read: back-pressure.
    virtual void set_reading(bool reading) = 0;
    // After what is queued was sent; on_closed follows.
    virtual void close_after_output() = 0;
    // At once; no handler runs any more.
    virtual void close() = 0;
    virtual PeerInfo peer() const = 0;
};

// Over a socket, and TLS when a context is given. libvirt's servers say one byte of 1 inside TLS
// once they have accepted the client's certificate: a link on the server's side sends it, one on
// the client's side takes it.
class NetLink final : public Link {
  public:
    struct Tls {
        std::unique_ptr<net::ByteFilter> filter;
        bool is_server = false;
    };

    NetLink(Loop& loop, net::Descriptor socket, std::optional<Tls> tls = std::nullopt);

    void start(Handlers handlers) override;
    void send(Bytes packet) override { connection_->send(std::move(packet)); }
    void send_with_descriptors(Bytes packet, std::vector<net::Descriptor> descriptors) override {
        connection_->send_with_descriptors(std::move(packet), std::move(descriptors));
    }
    std::optional<net::Descriptor> take_descriptor() override {
        return connection_->take_descriptor();
    }
    std::size_t output_waiting() const override { return connection_->output_waiting(); }
    void set_reading(bool reading) override { connection_->set_reading(reading); }
    void close_after_output() override { connection_->close_after_output(); }
    void close() override { connection_->close(); }

    PeerInfo peer() const override;

  private:
    void on_input(ByteView bytes);

    Handlers handlers_;
    bool is_tls_ = false;
    bool is_tls_server_ = false;
    bool awaits_welcome_ = false;
    std::unique_ptr<net::Connection> connection_;
};

}  // namespace segue::rpc
