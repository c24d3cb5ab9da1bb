// SPDX-License-Identifier: LGPL-2.1-or-later
// Joins a stream with a socket or a pipe, with back-pressure both ways: a tunnelled migration on
// either host. What the socket gives goes into the stream, its end ends the stream; what the stream
// brings is written to the socket, its end closes that way.
//
//   Source:       pipe = StreamPipe::make(loop, qemu_side, done);
//                 pipe->attach(client.call_with_stream<DomainMigratePrepareTunnel3Params>(
//                     call, pipe->handlers(), on_reply));
//   Destination:  pipe->attach(reply.open_stream(pipe->handlers()));
#pragma once

#include <memory>

#include "net/connection.h"
#include "rpc/stream.h"

namespace segue::rpc {

class StreamPipe : public std::enable_shared_from_this<StreamPipe> {
  public:
    // Success: the stream ended properly and all of it is written. Called once, on the loop.
    using OnDone = std::function<void(Result<>)>;

    static std::shared_ptr<StreamPipe> make(Loop& loop, net::Descriptor descriptor, OnDone on_done);

    // They keep this object as long as the stream lives.
    Stream::Handlers handlers();
    // Bytes flow from now on. A null stream is the end, with connection_lost.
    void attach(std::shared_ptr<Stream> stream);
    // Ends both sides without calling on_done: the owner knows why.
    void cancel(const Error& reason);

    std::uint64_t bytes_to_stream() const { return bytes_to_stream_; }
    std::uint64_t bytes_from_stream() const { return bytes_from_stream_; }

  private:
    StreamPipe(Loop& loop, net::Descriptor descriptor, OnDone on_done);

    void from_stream(ByteView bytes);
    void from_socket(ByteView bytes);
    void finish(Result<> outcome);

    Loop& loop_;
    OnDone on_done_;
    std::unique_ptr<net::Connection> connection_;
    std::shared_ptr<Stream> stream_;
    std::uint64_t bytes_to_stream_ = 0;
    std::uint64_t bytes_from_stream_ = 0;
    bool stream_ended_ = false;
};

}  // namespace segue::rpc
