// SPDX-License-Identifier: LGPL-2.1-or-later
// The NIC of a protected QEMU, by three character devices of filters that are plugged in while it
// runs: `out` brings what the guest sends, `back` lets frames leave by the VM's own back end, `in`
// delivers frames to the guest. All in QEMU's stream format. While nobody serves `out`, QEMU drops
// what the guest sends: nothing leaves unseen.
#pragma once

#include <functional>
#include <memory>

#include "net/connection.h"
#include "net/listen.h"
#include "protect/frame_gate.h"

namespace segue::standby {

class AgentNetwork {
  public:
    using Frames = FrameGate::Frames;

    struct Paths {
        std::string out, back, in;
    };
    // `sent` gets whole frames of the guest.
    static Result<std::unique_ptr<AgentNetwork>> make(Loop& loop, const Paths& paths,
                                                      std::function<void(Frames)> sent);

    // Everything that can be read now: the guest stands still.
    void drain();
    void leave(Bytes frames) { send(back_, std::move(frames)); }
    void deliver(ByteView frames);
    // Hybrid mode: what comes for the guest waits from here on. Whether QEMU has read all before.
    bool freeze();
    void thaw();
    // Bytes that were delivered.
    std::uint64_t delivered() const { return delivered_; }
    // Frames of the guest that its owner could not keep.
    void count_dropped(std::size_t frames) { dropped_ += frames; }
    std::uint64_t dropped() const { return dropped_; }

    // Frames toward a QEMU that does not read wait up to here; more are dropped.
    static constexpr std::size_t kMaxWaiting = 32U << 20;

  private:
    struct Port {
        std::unique_ptr<net::Listener> listener;
        std::unique_ptr<net::Connection> connection;
    };
    AgentNetwork(Loop& loop, std::function<void(Frames)> sent);
    Result<> open(Port& port, const std::string& path, bool reads);
    void accept(Port& port, net::Descriptor socket, bool reads);
    void take(ByteView bytes);
    void send(Port& port, Bytes frames);

    Loop& loop_;
    std::function<void(Frames)> sent_;
    FrameSplitter splitter_;
    Port out_, back_, in_;
    std::uint64_t dropped_ = 0;
    std::uint64_t delivered_ = 0;
    bool frozen_ = false;
    Bytes waiting_;
};

}  // namespace segue::standby
