// SPDX-License-Identifier: LGPL-2.1-or-later
// One filter behind another: a WebSocket inside TLS.
#pragma once

#include <memory>

#include "net/filter.h"

namespace segue::net {

// Two filters, the first next to the socket.
class FilterChain final : public ByteFilter {
  public:
    FilterChain(std::unique_ptr<ByteFilter> outer, std::unique_ptr<ByteFilter> inner)
        : outer_(std::move(outer)), inner_(std::move(inner)) {}
    Result<> start(Bytes& to_peer) override;
    Result<> receive(ByteView from_peer, Bytes& plain, Bytes& to_peer) override;
    Result<> send(ByteView plain, Bytes& to_peer) override;
    void close(Bytes& to_peer) override;
    bool closed_by_peer() const override {
        return outer_->closed_by_peer() || inner_->closed_by_peer();
    }
    bool is_open() const override { return outer_->is_open() && inner_->is_open(); }

  private:
    std::unique_ptr<ByteFilter> outer_;
    std::unique_ptr<ByteFilter> inner_;
};

}  // namespace segue::net
