// SPDX-License-Identifier: LGPL-2.1-or-later
// A stream inside a connection: a console, a screenshot, a tunnelled migration. Packets carry the
// procedure and the serial of the call that opened it. There is no window: who cannot take more
// stops reading the whole connection.
#pragma once

#include <functional>
#include <memory>

#include "rpc/header.schema.h"

namespace segue::rpc {

enum class Side { server, client };

class StreamCarrier;

class Stream : public std::enable_shared_from_this<Stream> {
  public:
    // All optional. Each may drop the last reference to the stream.
    struct Handlers {
        std::function<void(ByteView)> on_data;
        // The peer has ended the stream properly. On the server's side the client is told "done"
        // when this returns, unless it called abort(). On the client's side: the server has sent
        // its last data, or has confirmed our end().
        std::function<void()> on_end;
        // The peer aborted, or the connection is lost. Not called after our own abort().
        std::function<void(const Error&)> on_abort;
        // Little output waits again after is_writable() was false.
        std::function<void()> on_writable;
    };

    // One packet of libvirt's streams carries at most this much (its old payload limit, which its
    // daemons keep to).
    static constexpr std::size_t kMaxData = 262120;

    Stream(StreamCarrier& carrier, Side side, Header header, Handlers handlers);

    // Data beyond kMaxData goes in several packets. Before the call that opens the stream is
    // answered, data waits for the answer. Nothing happens once the stream is over.
    void send(ByteView data);
    bool is_writable() const;
    // We have sent our last data.
    void end();
    void abort(const Error& reason);
    // Back-pressure; it holds up everything of this connection.
    void set_reading(bool reading);
    bool is_over() const { return carrier_ == nullptr; }

    void set_handlers(Handlers handlers) { handlers_ = std::move(handlers); }

    // --- For the carrier ---
    // The opening call is answered with success: what waited goes out.
    void opened();
    void receive(MessageStatus status, ByteView payload);
    void drained();
    void lost(const Error& reason);

  private:
    void receive_end();
    void receive_error(ByteView payload);
    void send_packet(MessageStatus status, ByteView payload);
    // Leaves the carrier; this object may live on in its owner's hands.
    void finish();

    StreamCarrier* carrier_;
    Side side_;
    Header header_;
    Handlers handlers_;
    Bytes early_;
    bool opened_ = false;
    bool end_sent_ = false;
    bool end_told_ = false;
    bool reading_ = true;
};

// What a stream needs of its connection.
class StreamCarrier {
  public:
    virtual void send_packet(Bytes packet) = 0;
    virtual std::size_t output_waiting() const = 0;
    // Each stream that stops reading holds the connection once.
    virtual void hold_reading(bool hold) = 0;
    virtual void remove_stream(std::uint32_t serial) = 0;

  protected:
    ~StreamCarrier() = default;
};

}  // namespace segue::rpc
