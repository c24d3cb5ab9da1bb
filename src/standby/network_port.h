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
#include "protect/twin_gate.h"
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
    // The sink says whether it took them.
    void set_agent(std::function<bool(ByteView frames)> sink) { to_agent_ = std::move(sink); }

    void pass();
    // What the primary sent before still passes: the first epoch knows it.
    void hold();
    // The primary stands still: everything that can be read from it belongs to this epoch.
    void seal(std::uint64_t epoch);
    void release(std::uint64_t epoch);
    // Cuts the primary off, forgets what is not committed, and lets the promoted VM's frames pass.
    void serve_vm();

    // Hybrid mode. Without this call every frame waits for its epoch.
    struct Twins {
        // Asked before anything leaves that the held epoch does not know.
        std::function<bool()> may_leave;
        // For colo-compare.
        std::function<void(Bytes frames)> primary_in, shadow_in;
        // Frames are held: when_to_look() may have changed.
        std::function<void()> waits;
    };
    // `seats`: the sockets of each shadow, the first one's first.
    Result<> open_seats(const std::vector<Files>& seats, Twins twins);
    // A shadow runs there, from the state behind which all was sent that is not sealed.
    void begin_comparing(std::size_t seat);
    void end_comparing();
    void passed(ByteView frame);
    void differs();
    bool wants_checkpoint() const { return twin_.wants_checkpoint(loop_.now()); }
    std::optional<Instant> when_to_look() const { return twin_.next_look(); }
    // What comes from outside waits from here on. Both guests begin with it when it is let in.
    void freeze_input() { frozen_ = true; }
    // Whether the primary has read all that it was given before.
    bool is_input_read() const;
    void thaw_input();
    // Behind an agent. A new one is linked; the primary has read so much of what it was given,
    // before the state that follows.
    void begin_input();
    void input_read(std::uint64_t bytes);
    // Whether all that it has read behind that is kept.
    bool has_input() const { return given_from_ <= read_until_; }
    // As serve_vm(), for the shadow; what it has said and nobody outside has heard leaves.
    void serve_shadow();
    std::uint64_t early_frames() const { return early_; }

    std::size_t held_frames() const { return gate_.held_frames() + twin_.held_frames(); }
    std::uint64_t dropped_frames() const {
        return dropped_ + udp_queue_.dropped() + vm_->queue.dropped() + twin_.dropped();
    }

    // Frames toward a receiver that does not read wait up to here; more are dropped, as a full
    // switch port does.
    static constexpr std::size_t kMaxWaiting = 32U << 20;
    // What is kept for a next shadow.
    static constexpr std::size_t kMaxGiven = 16U << 20;
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
    // Where a promoted VM's, or a shadow's, datagrams come and go.
    struct VmEnd {
        net::Descriptor socket;
        net::SocketAddress vm;
        std::unique_ptr<Watch> watch;
        DatagramQueue queue{kMaxWaiting};
        std::unique_ptr<Timer> again;  // while frames wait there
    };
    static Result<std::unique_ptr<VmEnd>> open_end(const Files& files);
    void watch_end(VmEnd& end);
    void to_end(VmEnd& end, const FrameGate::Frames& frames);
    void guest_sent(FrameGate::Frames frames);
    void flush_twin();
    bool is_full() const {
        return gate_.held_bytes() + twin_.held_bytes() >= FrameGate::kMaxHeldBytes;
    }
    void cut_primary_off();
    void give_agent(const FrameGate::Frames& frames);
    void accept_primary(net::Descriptor socket);
    void accept_outside(net::Descriptor socket);
    void primary_sent(ByteView bytes);
    void drain_primary();
    enum class From { primary, vm, nobody };
    void read_datagrams(int descriptor, From from, int limit);
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
    std::function<bool(ByteView frames)> to_agent_;
    // Behind an agent: what it was given, and a next shadow may have to get, too.
    std::deque<Bytes> given_;
    std::uint64_t given_until_ = 0, given_from_ = 0, read_until_ = 0;
    std::unique_ptr<VmEnd> vm_;
    std::vector<std::unique_ptr<VmEnd>> seats_;
    // Of the shadow; once it serves, of the guest.
    VmEnd* shadow_ = nullptr;
    TwinGate twin_;
    std::optional<Twins> twins_;
    bool frozen_ = false;
    FrameGate::Frames frozen_frames_;
    std::uint64_t early_ = 0;
    std::uint64_t dropped_ = 0;
};

}  // namespace segue::standby
