// SPDX-License-Identifier: LGPL-2.1-or-later
// A buffered stream connection on a Loop. It holds no input: what a user does not take from the
// view it is given, the user keeps. Output queues up to a limit; the user is told when the queue is
// nearly empty again. One thread: the loop's.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/loop.h"
#include "net/filter.h"
#include "net/socket.h"

namespace segue::net {

class Connection {
  public:
    // Shared, so that one buffer can go to many peers without a copy.
    using SharedBytes = std::shared_ptr<const Bytes>;

    struct Handlers {
        // Bytes arrived. The view is valid during the call only.
        std::function<void(ByteView)> on_input;
        // The connection is over; `reason` is connection_lost for a plain end of the peer's stream.
        // Not called after close(). The last callback: it may destroy the connection.
        std::function<void(const Error& reason)> on_closed;
        // The output queue fell to kLowWater or below after it stood above it. Optional.
        std::function<void()> on_drained;
        // A filter (TLS) has finished its handshake. Optional.
        std::function<void()> on_filter_open;
        // The peer ended its stream, but may still read. Without this handler an end closes.
        std::function<void()> on_end_of_input;
    };

    // Output beyond this without the peer reading any of it is error limit_exceeded; see
    // set_output_limit.
    static constexpr std::size_t kDefaultOutputLimit = 64u << 20;
    static constexpr std::size_t kLowWater = 256u << 10;
    // Descriptors that a peer may have sent and nobody took yet.
    static constexpr std::size_t kMaxDescriptors = 32;

    // Takes a connected non-blocking socket. Reading starts with start().
    Connection(Loop& loop, Descriptor socket, Handlers handlers);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    // Before start(): everything passes through this filter from now on.
    void set_filter(std::unique_ptr<ByteFilter> filter);
    // Before start(): descriptors that the peer sends are kept for take_descriptor().
    void accept_descriptors() { takes_descriptors_ = true; }
    void start();

    // Queues bytes, and writes at once what the socket takes. Inside on_input writing waits until
    // the handler returns, so that several answers leave in one call.
    void send(Bytes bytes);
    void send(SharedBytes bytes);
    void send_copy(ByteView bytes);
    // The bytes, then each descriptor on one byte of its own (as libvirt does it); unix sockets
    // only, without a filter.
    void send_with_descriptors(Bytes bytes, std::vector<Descriptor> descriptors);
    // The oldest one that the peer sent and nobody took.
    std::optional<Descriptor> take_descriptor();

    std::size_t output_waiting() const { return waiting_; }
    void set_output_limit(std::size_t bytes) { output_limit_ = bytes; }
    // Back-pressure toward the peer: while paused nothing is read, and the peer's end is not seen.
    void set_reading(bool reading);
    bool is_reading() const { return reading_; }

    // Says end of stream after what is queued; reading goes on.
    void end_output();
    // Closes now; what is queued is lost. No handler runs any more.
    void close();
    // Sends what is queued (for at most `patience`), says end of stream, and closes when the peer
    // has ended too, or after 2 s or 1 MiB of what it still says, which is discarded. No handler
    // runs any more, except on_closed at the end. A filter that fails ends the connection in the
    // same way, so that its alert arrives.
    void close_after_output(Duration patience = 5s);
    bool is_closed() const { return !socket_; }

    const SocketAddress& local() const { return local_; }
    const SocketAddress& peer() const { return peer_; }
    std::optional<PeerCredentials> credentials() const;
    int descriptor() const { return socket_.get(); }
    ByteFilter* filter() const { return filter_.get(); }

  private:
    struct Chunk {
        SharedBytes shared;
        Bytes owned;
        Descriptor descriptor;  // travels with this chunk's only byte

        ByteView view() const { return shared ? ByteView(*shared) : ByteView(owned); }
    };

    void on_ready(Loop::Ready ready);
    void read_some();
    void take_ancillary(msghdr& message);
    void deliver(ByteView bytes);
    void queue(Chunk chunk);
    void write_some();
    bool write_plain_chunks();
    bool write_descriptor_chunk();
    void written(std::size_t size);
    void after_write();
    void end_of_input();
    void end_with(Error reason, Duration patience);
    void linger();
    void discard_some();
    void fail_with(Error reason);
    void update_interest();

    Loop& loop_;
    Descriptor socket_;
    Handlers handlers_;
    SocketAddress local_;
    SocketAddress peer_;
    std::unique_ptr<ByteFilter> filter_;
    std::unique_ptr<Watch> watch_;
    std::unique_ptr<Timer> closing_timer_;
    std::deque<Chunk> output_;
    std::size_t first_offset_ = 0;  // bytes of output_.front() that are written
    std::size_t waiting_ = 0;
    std::size_t output_limit_ = kDefaultOutputLimit;
    std::deque<Descriptor> received_;
    bool takes_descriptors_ = false;
    bool reading_ = true;
    bool above_low_water_ = false;
    bool in_input_ = false;
    bool ending_ = false;
    bool closing_ = false;    // output is written, then the peer's end awaited
    bool lingering_ = false;  // the second of them
    std::size_t discarded_ = 0;
    Error end_reason_;
    bool input_ended_ = false;
    bool filter_was_open_ = false;
    bool want_read_ = false;
    bool want_write_ = false;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace segue::net
