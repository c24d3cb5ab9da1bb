// SPDX-License-Identifier: LGPL-2.1-or-later
// Ties a channel to the socket of its client, on the loop of the thread that the channel lives in.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "spice/control/messages.h"
#include "spice/server/channel.h"
#include "spice/server/transport.h"

namespace segue::spice::server {

class ChannelDriver final : public ChannelOutput {
  public:
    using Make = std::function<std::unique_ptr<Channel>(ChannelOutput& output)>;
    // The connection is over: the client went, or broke the protocol. The last callback; it may
    // destroy the driver.
    using OnLost = std::function<void(const std::string& reason)>;

    ChannelDriver(Loop& loop, std::unique_ptr<Transport> transport, const Make& make,
                  OnLost on_lost);
    ~ChannelDriver() override;

    // Begins to read, and lets the channel say its first words.
    void start();
    Channel& channel() { return *channel_; }
    // As Channel's; the connection is lost where that fails.
    void expect_seal(const StateKey& key);
    // What went over its connection.
    control::ChannelStatus status() const;
    // As Channel's, in one piece.
    void leave_gate();
    Transport::Gathering gather() { return Transport::Gathering(*transport_); }

    void write(std::vector<wire::SharedBytes> pieces) override;
    std::size_t waiting() const override { return transport_->waiting(); }
    void hold_input(bool held) override { transport_->set_reading(!held); }

  private:
    std::size_t on_input(ByteView bytes);
    void close_unless(const Result<>& done);
    void lose(std::string reason);

    Loop& loop_;
    std::unique_ptr<Transport> transport_;
    OnLost on_lost_;
    bool lost_ = false;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
    std::unique_ptr<Channel> channel_;
};

}  // namespace segue::spice::server
