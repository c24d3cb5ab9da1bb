// SPDX-License-Identifier: LGPL-2.1-or-later
// What the real RPC sessions stand on here: one end of a simulated connection.
#pragma once

#include "rpc/link.h"
#include "sim/network.h"

namespace segue::sim {

class SimLink final : public rpc::Link {
  public:
    SimLink(Loop& loop, std::shared_ptr<Connection> connection, int end)
        : loop_(loop), connection_(std::move(connection)), end_(end) {}
    ~SimLink() override { connection_->close(end_); }

    void start(Handlers handlers) override;
    void send(Bytes packet) override { connection_->send(end_, std::move(packet)); }
    void send_with_descriptors(Bytes packet, std::vector<net::Descriptor>) override {
        send(std::move(packet));
    }
    std::optional<net::Descriptor> take_descriptor() override { return std::nullopt; }
    std::size_t output_waiting() const override { return 0; }
    void set_reading(bool reading) override;
    void close_after_output() override;
    void close() override;
    rpc::PeerInfo peer() const override;

  private:
    void closed();
    void take_held();

    Loop& loop_;
    std::shared_ptr<Connection> connection_;
    int end_;
    Handlers handlers_;
    bool reading_ = true;
    Bytes held_;  // arrived while nobody read
    Lifeline lifeline_ = make_lifeline();
};

}  // namespace segue::sim
