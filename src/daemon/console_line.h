// SPDX-License-Identifier: LGPL-2.1-or-later
// A pseudo terminal joined to a stream, both ways, with back-pressure both ways.
#pragma once

#include <memory>

#include "base/loop.h"
#include "net/descriptor.h"
#include "rpc/stream.h"

namespace segue {

class ConsoleLine : public std::enable_shared_from_this<ConsoleLine> {
  public:
    // What a client typed and the guest has not read; beyond it the stream is not read.
    static constexpr std::size_t kMaxTyped = 64U << 10;

    static std::shared_ptr<ConsoleLine> make(Loop& loop, net::Descriptor terminal);
    ConsoleLine(Loop& loop, net::Descriptor terminal);

    // They keep this object as long as the stream lives.
    rpc::Stream::Handlers handlers();
    void attach(const std::shared_ptr<rpc::Stream>& stream);
    bool is_open() const { return static_cast<bool>(terminal_); }
    // For somebody else who takes the terminal by force: the stream ends, and the client is told.
    void end();

  private:
    void on_ready(Loop::Ready ready);
    void type(ByteView bytes);
    void write_some();
    void update();
    void close();

    Loop& loop_;
    net::Descriptor terminal_;
    std::weak_ptr<rpc::Stream> stream_;
    std::unique_ptr<Watch> watch_;
    Bytes typed_;
};

}  // namespace segue
