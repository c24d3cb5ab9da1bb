// SPDX-License-Identifier: LGPL-2.1-or-later
// The sockets around the gate: the primary's NIC, the outside peer, and the promoted VM's NIC.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "net/connection.h"
#include "net/listen.h"
#include "net/tls.h"
#include "protect/frame_gate.h"
#include "standby/datagram_queue.h"
#include "standby/standby_options.h"

namespace segue::standby {

class NetworkPort {
  public:
    struct Files {
        std::string gate;  // datagram socket that the promoted VM sends to
        std::string vm;    // the promoted VM's own
    };
    static Result<std::unique_ptr<NetworkPort>> make(Loop& loop, const Options::Net& options,
                                                     std::shared_ptr<net::TlsContext> tls,
                                                     Files files);
    ~NetworkPort();

    // Frames of the primary, brought by its agent; frames for it leave through `sink`. An error is
    // the agent's. Beyond a full gate they are dropped: disk and stream share the agent's link.
    Result<> agent_sent(ByteView frames);
    void set_agent(std::function<void(ByteView frames)> sink) { to_agent_ = std::move(sink); }

    void pass();
    // What the primary sent before still passes: the first epoch knows it.
    void hold();
    // The primary stands still: everything that can be read from it belongs to this epoch.
    void seal(std::uint64_t epoch);
    void release(std::uint64_t epoch);
    // Cuts the primary off, forgets what is not committed, and lets the promoted VM's frames pass.
    void serve_vm();

    std::size_t held_frames() const { return gate_.held_frames(); }
    std::uint64_t dropped_frames() const { return dropped_ + udp_queue_.dropped(); }

    // Frames toward a receiver that does not read wait up to here; more are dropped, as a full
    // switch port does.
    static constexpr std::size_t kMaxWaiting = 32U << 20;
    // More than the sockets between a guest that stands still and us can hold. Whoever sends more
    // does not stand still, and must not hold up the others.
    static constexpr std::size_t kMaxDrained = 64U << 20;

  private:
    NetworkPort(Loop& loop, std::shared_ptr<net::TlsContext> tls, Files files);
    Result<> listen(const Options::Net& options);
    Result<> open_udp();
    void read_udp();
    void send_udp(const FrameGate::Frames& frames);
    void flush_udp();
    void accept_primary(net::Descriptor socket);
    void accept_outside(net::Descriptor socket);
    void primary_sent(ByteView bytes);
    void drain_primary();
    void read_datagrams(int descriptor, bool from_vm, int limit);
    void outside_sent(ByteView bytes);
    void to_outside(FrameGate::Frames frames);
    void to_guest(const FrameGate::Frames& frames);
    void send_datagrams(const FrameGate::Frames& frames, int from, const net::SocketAddress& to);
    void watch_fullness();

    Loop& loop_;
    std::shared_ptr<net::TlsContext> tls_;
    Files files_;
    FrameGate gate_;
    bool serves_vm_ = false;
    std::unique_ptr<net::Listener> primary_listener_;
    std::unique_ptr<net::Connection> primary_;
    FrameSplitter from_primary_;
    net::Descriptor primary_datagrams_;
    std::unique_ptr<Watch> primary_watch_;
    net::SocketAddress primary_address_;
    std::string primary_path_;
    std::unique_ptr<net::Listener> outside_listener_;
    std::unique_ptr<net::Connection> outside_;
    FrameSplitter from_outside_;
    std::optional<Options::UdpPeer> udp_;
    net::Descriptor udp_socket_;
    std::unique_ptr<Watch> udp_watch_;
    DatagramQueue udp_queue_{kMaxWaiting};
    std::function<void(ByteView frames)> to_agent_;
    net::Descriptor vm_datagrams_;
    std::unique_ptr<Watch> vm_watch_;
    net::SocketAddress vm_address_;
    std::uint64_t dropped_ = 0;
};

}  // namespace segue::standby
