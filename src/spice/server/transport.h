// SPDX-License-Identifier: LGPL-2.1-or-later
// A client's socket, plain or under a filter (TLS, SASL's security layer). It is linked on the I/O
// thread and then moves to the thread of its channel: attach() binds it to a loop, detach() frees
// it again with everything that was read and not used, and everything that was not yet written.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/loop.h"
#include "base/result.h"
#include "net/descriptor.h"
#include "net/filter.h"
#include "spice/wire/shared_bytes.h"

namespace segue::spice::server {

class Transport {
  public:
    struct Handlers {
        // Bytes came; returns how many were used. The rest is shown again when more come, or to the
        // next owner. It must not detach or destroy the transport, except to drop the connection.
        std::function<std::size_t(ByteView)> on_input;
        // Everything queued has left for the socket.
        std::function<void()> on_drained;
        // The peer ended the stream, or the socket failed. The last callback; it may destroy us.
        std::function<void(const std::string& reason)> on_lost;
    };

    explicit Transport(net::Descriptor socket);
    ~Transport();
    Transport(const Transport&) = delete;
    Transport& operator=(const Transport&) = delete;

    // Before the first attach, or when nothing is queued.
    void set_filter(std::unique_ptr<net::ByteFilter> filter) { filter_ = std::move(filter); }
    const net::ByteFilter* filter() const { return filter_.get(); }
    // In the middle of a connection, behind the filter that is there: bytes queued go as they are,
    // bytes that were read and not used go through it.
    Result<> add_filter(std::unique_ptr<net::ByteFilter> filter);

    void attach(Loop& loop, Handlers handlers);
    // Bytes that a former owner read and did not use: the next owner gets them first.
    void unread(ByteView bytes) { input_.insert(input_.begin(), bytes.begin(), bytes.end()); }
    // After this no handler runs; the socket may be attached to a loop of another thread.
    void detach();

    // Queues, and writes what the socket takes now. A failure is told by on_lost, later. Of bytes
    // that are borrowed only what the socket does not take is copied: they never wait for others.
    void send(std::vector<wire::SharedBytes> pieces);
    void send(Bytes bytes) { send({wire::SharedBytes::take(std::move(bytes))}); }
    // While one lives, what is sent waits; it then goes with few system calls, and in few packets.
    // The transport may be gone before it.
    class Gathering {
      public:
        explicit Gathering(Transport& transport);
        ~Gathering();
        Gathering(Gathering&& other) noexcept = default;
        Gathering& operator=(Gathering&&) = delete;

      private:
        std::shared_ptr<bool> attached_;  // null: moved from, or there is nothing to write to
        Transport* transport_;
    };
    // Gathered at most: more goes at once.
    static constexpr std::size_t kMostGathered = std::size_t{64} << 10;

    // Beyond this, with what each piece costs, the peer asks for much and reads nothing: it is
    // lost. The largest image has 128 MiB.
    static constexpr std::size_t kMostWaiting = std::size_t{256} << 20;
    static constexpr std::size_t kPieceCost = 256;
    // The same before the link, and for a channel that sends no images.
    void set_most_waiting(std::size_t most) { most_waiting_ = most; }
    // Why it was lost: connection_lost; limit_exceeded, where the peer does not read; or what its
    // filter said.
    ErrorCode loss() const { return loss_; }
    // Bytes queued that the socket has not taken.
    std::size_t waiting() const { return waiting_; }
    // Not reading is back-pressure toward the peer; its end is then not noticed either.
    void set_reading(bool reading);

    int descriptor() const { return socket_.get(); }
    std::uint64_t bytes_sent() const { return bytes_sent_; }
    std::uint64_t bytes_received() const { return bytes_received_; }

  private:
    struct Keeping;
    void on_ready(Loop::Ready ready);
    bool read_some();
    bool write_some();
    void deliver();
    void lose(const Error& why);
    void tell_lost(std::string reason);
    void update_interest();
    void enqueue(wire::SharedBytes bytes);
    void keep_borrowed() noexcept;
    void drop(ErrorCode why) noexcept;
    void join(ByteView piece);

    net::Descriptor socket_;
    std::unique_ptr<net::ByteFilter> filter_;
    Loop* loop_ = nullptr;
    Handlers handlers_;
    std::unique_ptr<Watch> watch_;
    Bytes input_;
    std::deque<wire::SharedBytes> output_;
    std::size_t first_offset_ = 0;
    // Small pieces one behind the other: the last of `output_` while `joins_`.
    std::shared_ptr<Bytes> joint_;
    bool joins_ = false;
    std::size_t waiting_ = 0;
    std::size_t most_waiting_ = kMostWaiting;
    std::uint64_t bytes_sent_ = 0;
    std::uint64_t bytes_received_ = 0;
    bool reading_ = true;
    bool writable_interest_ = false;
    bool lost_ = false;
    bool told_ = false;  // that it is lost, or it will be
    ErrorCode loss_{};
    int gatherings_ = 0;
    // False once destroyed or detached: callbacks that are under way look at it before they go on.
    std::shared_ptr<bool> attached_;
};

}  // namespace segue::spice::server
