// SPDX-License-Identifier: LGPL-2.1-or-later
// Bytes to and from a device of the guest: USB redirection, ports, and folder sharing over a port.
// Neither a byte more nor a byte less arrives when the machine moves seamlessly.
#pragma once

#include "spice/client/channel.h"
#include "spice/wire/port.schema.h"
#include "spice/wire/spicevmc.schema.h"

namespace segue::spice::client {

class StreamListener {
  public:
    virtual ~StreamListener() = default;
    // The channel is linked to a server that knows nothing of it, or is over (false). On ports
    // nothing may be said before on_port_open.
    virtual void on_stream_up(ChannelKey key, bool up) { (void)key, (void)up; }
    virtual void on_stream_data(ChannelKey key, ByteView data) { (void)key, (void)data; }
    // What is given from now on leaves soon again.
    virtual void on_stream_drained(ChannelKey key) { (void)key; }
    // Ports only: somebody in the guest has opened or closed it; also once when it is linked.
    virtual void on_port(ChannelKey key, const std::string& name, bool open) {
        (void)key, (void)name, (void)open;
    }
    virtual void on_port_break(ChannelKey key) { (void)key; }
};

class StreamChannel final : public Channel {
  public:
    StreamChannel(ChannelKey key, ChannelHost& host, StreamListener& listener, bool read_only)
        : Channel(key, host), listener_(listener), read_only_(read_only) {}

    wire::Capabilities capabilities() const override;

    // Queued while the channel has no connection. In a read-only session nothing is sent.
    void give(ByteView data);
    // Ports only: somebody at the user's has opened or closed it; a break.
    void tell_open(bool open);
    void send_break();
    const std::string& port_name() const { return name_; }
    bool port_is_open() const { return open_; }

  private:
    bool is_port() const { return key().type != wire::ChannelType::usbredir; }
    Result<> handle(const wire::IncomingMessage& message) override;
    void on_server(const wire::Capabilities& server) override;
    void on_up(const wire::Capabilities& server) override;
    void on_reset(ResetReason reason) override;
    Result<> on(const wire::spicevmc::Data& message);
    Result<> on(const wire::spicevmc::CompressedData& message);
    Result<> on(const wire::port::Init& message);
    Result<> on(const wire::port::Event& message);
    void set_open(bool open);

    // Stock servers take what fits their tokens; longer messages are no gain.
    static constexpr std::size_t kPiece = std::size_t{64} << 10;
    // Smaller ones gain nothing by compression.
    static constexpr std::size_t kMinCompressed = 1024;

    StreamListener& listener_;
    const bool read_only_;
    bool server_takes_lz4_ = false;
    bool is_up_ = false;
    std::string name_;
    bool open_ = false;
};

}  // namespace segue::spice::client
