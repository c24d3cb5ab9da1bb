// SPDX-License-Identifier: LGPL-2.1-or-later
// SPICE inside a WebSocket (RFC 6455), for clients that live in a browser: the handshake of the
// server's side, and the frames as a filter of bytes.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "net/filter.h"

namespace segue::spice::server {

// What a connection begins with that is a WebSocket's and not a SPICE client's.
inline constexpr std::string_view kWebSocketBegin = "GET ";

struct WebSocketUpgrade {
    std::size_t used = 0;  // bytes of the request
    std::string reply;
};
// Nothing: the request is not yet whole. An error: it is none that we take, or too long.
Result<std::optional<WebSocketUpgrade>> upgrade_to_websocket(ByteView bytes);

class WebSocketFilter final : public net::ByteFilter {
  public:
    Result<> start(Bytes&) override { return {}; }
    Result<> receive(ByteView from_peer, Bytes& plain, Bytes& to_peer) override;
    Result<> send(ByteView plain, Bytes& to_peer) override;
    void close(Bytes& to_peer) override;
    bool closed_by_peer() const override { return closed_; }
    bool is_open() const override { return !closed_; }

  private:
    static constexpr std::size_t kMostControl = 125;

    // False: the header is not yet whole.
    Result<bool> read_header();
    Result<> end_frame(Bytes& to_peer);

    Bytes header_;
    bool in_frame_ = false;
    std::uint8_t opcode_ = 0;
    std::uint64_t left_ = 0;  // bytes of the frame
    std::array<std::uint8_t, 4> mask_{};
    std::size_t mask_at_ = 0;
    Bytes control_;
    bool closed_ = false;
};

}  // namespace segue::spice::server
