// SPDX-License-Identifier: LGPL-2.1-or-later
// A tunnelled migration: QEMU's bytes travel through a pipe on each host, and between the daemons
// in a stream of their connection. They go one way only, to the destination; either end holds the
// other back when it cannot take more.
#pragma once

#include <memory>

#include "base/loop.h"
#include "daemon/answer.h"
#include "net/descriptor.h"
#include "rpc/stream.h"

namespace segue {

// The name under which QEMU is given its end of a pipe.
inline constexpr const char* kTunnelName = "segue-tunnel";

// The source's end: what QEMU writes goes into the stream.
class TunnelOut {
  public:
    // `stream` was opened by Prepare. `over` comes once, on the loop, never from inside a call of
    // this object: the destination's daemon has everything that QEMU wrote, or why it has not.
    TunnelOut(Loop& loop, std::shared_ptr<rpc::Stream> stream, Answer<> over);
    // One that is not over is aborted.
    ~TunnelOut();

    // Makes the pipe, and gives the end that QEMU is to write into.
    Result<net::Descriptor> open();

  private:
    void carry();
    void finish(Result<> outcome);

    Loop& loop_;
    std::shared_ptr<rpc::Stream> stream_;
    Answer<> over_;
    net::Descriptor pipe_;
    std::unique_ptr<Watch> watch_;
    Bytes buffer_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

// The destination's end: what the stream brings goes to QEMU. It lives on when the stream has
// ended, until QEMU has read everything.
class TunnelIn : public std::enable_shared_from_this<TunnelIn> {
  public:
    // What QEMU has not read yet; beyond it the connection is not read.
    static constexpr std::size_t kMaxWaiting = 1U << 20;

    explicit TunnelIn(Loop& loop) : loop_(loop) {}

    // Makes the pipe, and gives the end that QEMU is to read from.
    Result<net::Descriptor> open();
    // For the stream that Prepare opens, and the stream itself once it is open. The handlers keep
    // this object as long as the stream lives.
    rpc::Stream::Handlers handlers();
    void attach(const std::shared_ptr<rpc::Stream>& stream);
    // QEMU sees the end of its input, whatever was still to come.
    void close();

  private:
    void take(ByteView bytes);
    void write_some();
    void update();

    Loop& loop_;
    net::Descriptor pipe_;
    std::weak_ptr<rpc::Stream> stream_;
    std::unique_ptr<Watch> watch_;
    Bytes waiting_;
    std::size_t written_ = 0;  // of waiting_
    bool ended_ = false;       // nothing more will come
};

}  // namespace segue
