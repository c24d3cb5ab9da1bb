// SPDX-License-Identifier: LGPL-2.1-or-later
// What both ends of a connection share: messages in and out, keepalive, streams, back-pressure. The
// server's Session and the Client stand on it.
#pragma once

#include <map>
#include <memory>

#include "base/loop.h"
#include "rpc/framer.h"
#include "rpc/keepalive.h"
#include "rpc/link.h"
#include "rpc/packet.h"
#include "rpc/stream.h"

namespace segue::rpc {

class Endpoint final : public StreamCarrier {
  public:
    struct Handlers {
        // Everything but keepalive and stream packets. An error ends the connection.
        std::function<Result<>(const Packet&)> on_packet;
        // The last call; the endpoint may be destroyed inside.
        std::function<void(const Error&)> on_closed;
        // Back-pressure may end: little output waits again.
        std::function<void()> on_drained;
    };

    Endpoint(Loop& loop, std::unique_ptr<Link> link, Side side, KeepAliveRule keepalive);
    ~Endpoint();

    void start(Handlers handlers);
    // The peer understands keepalive.
    void start_keepalive() { keepalive_.start(); }

    void send_packet(Bytes packet) override;
    void send_with_descriptors(Bytes packet, std::vector<net::Descriptor> descriptors);
    std::optional<net::Descriptor> take_descriptor() { return link_->take_descriptor(); }
    std::size_t output_waiting() const override { return link_->output_waiting(); }
    // Holds are counted: reading goes on when each holder has let go.
    void hold_reading(bool hold) override;

    std::shared_ptr<Stream> add_stream(const Header& header, Stream::Handlers handlers);
    Stream* find_stream(std::uint32_t serial);
    void remove_stream(std::uint32_t serial) override { streams_.erase(serial); }

    // Says why in the log and to each stream, then closes. on_closed is called unless `silently`.
    void close(const Error& reason, bool silently = false);
    // Longer messages end the connection.
    void set_message_limit(std::size_t bytes) { framer_.set_limit(bytes); }
    void close_after_output() { link_->close_after_output(); }
    bool is_closed() const { return closed_; }

    Loop& loop() { return loop_; }
    PeerInfo peer() const { return link_->peer(); }

  private:
    void on_input(ByteView bytes);
    void take_all(ByteView bytes);
    Result<> take(const Packet& packet);
    void take_keepalive(const Header& header);
    void send_keepalive(std::int32_t procedure);
    void on_drained();

    Loop& loop_;
    std::unique_ptr<Link> link_;
    Side side_;
    KeepAlive keepalive_;
    Framer framer_;
    Handlers handlers_;
    std::map<std::uint32_t, std::shared_ptr<Stream>> streams_;
    int holds_ = 0;
    bool resumes_ = false;  // a look at what was kept is on its way
    bool closed_ = false;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace segue::rpc
