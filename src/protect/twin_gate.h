// SPDX-License-Identifier: LGPL-2.1-or-later
// Hybrid mode's part of the gate, for one card. Two guests run from one committed state: the
// primary, and its shadow. A frame of the primary's leaves at once when the shadow has said the
// same, because the shadow takes over; every other one is held until its epoch is committed.
// I/O-free.
//
// QEMU's colo-compare says which IPv4 packets are the same (passed()); it gets those of a flow one
// by one, in their order, because it compares the newest first. What it lets through without a
// look, this gate looks at: frames that are no IPv4, and of TCP the acknowledgement and the flags.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <unordered_map>

#include "base/time.h"
#include "protect/frame_gate.h"
#include "protect/ip_packet.h"

namespace segue {

class TwinGate {
  public:
    using Frames = FrameSplitter::Frames;
    // What is to be done with it, in order.
    struct Output {
        Frames leaves;      // the outside gets these
        Frames primary_in;  // colo-compare's primary_in
        Frames shadow_in;   // its secondary_in
    };

    // A frame that nobody has matched for this long asks for a checkpoint; one of a shadow's first
    // second when that is over: it begins with cold caches.
    static constexpr Duration kPatience = 200ms;
    static constexpr Duration kWarming = 1s;
    // colo-compare has seen a difference that may be one of order only.
    static constexpr Duration kGrace = 10ms;
    // What the shadow has said ahead of the primary; more is dropped, as a full switch port does.
    static constexpr std::size_t kMaxAhead = 16U << 20;

    // Whoever speaks in more flows than these, a scan for one, ends the epoch: each is remembered.
    static constexpr std::size_t kMaxFlows = 4096;

    // A shadow runs from the state behind which everything held here was sent.
    void begin(Instant now);
    // There is none any more: what is held waits for its epoch.
    void end();
    bool is_comparing() const { return comparing_; }

    void primary_sent(const Frames& frames, Instant now);
    void shadow_sent(const Frames& frames);
    // colo-compare has let this frame of the primary's through.
    void passed(ByteView frame);
    // It has seen a difference.
    void differs(Instant now);
    Output take();
    bool has_leaving() const { return output_.leaves.count > 0; }

    // Whether something waits that only a checkpoint lets out; and when to ask again, if not.
    bool wants_checkpoint(Instant now) const;
    std::optional<Instant> next_look() const;

    // The epoch ends here: everything that is held, in the order in which it was sent.
    Frames end_epoch();
    // The shadow takes over. What it has said and nobody outside has heard, in its order.
    Frames take_over();

    std::size_t held_frames() const { return held_.size(); }
    std::size_t held_bytes() const { return held_bytes_; }
    std::uint64_t dropped() const { return dropped_; }

  private:
    struct Held {
        Bytes frame;
        Instant since{};
        FlowKey flow;
        bool fed = false;
        bool passed = false;
    };
    // Numbers of held_ or of ahead_ by the hash of their frames, oldest first.
    using ByContent = std::unordered_map<std::size_t, std::deque<std::uint64_t>>;
    // Numbers of held_ and of ahead_, oldest first; those of raw frames by their content: there may
    // be very many, and any may be the next one.
    struct Flow {
        std::deque<std::uint64_t> primary, shadow;
        ByContent raw_primary, raw_shadow;
        // What the shadow has said in this flow, if it is TCP.
        std::optional<std::uint32_t> ack, end, syn, fin;
        bool is_reset = false;
    };

    void hold(const FlowKey& key, Flow& flow, std::uint64_t number);
    void feed(std::uint64_t number);
    using FrameOf = std::function<ByteView(std::uint64_t number)>;
    static std::optional<std::uint64_t> take_oldest(ByContent& list, ByteView frame,
                                                    const FrameOf& frame_of);
    void match_raw(Flow& flow, std::uint64_t number);
    void match_raw_shadow(Flow& flow, ByteView frame);
    void match_tcp(Flow& flow);
    bool shadow_knows(const Flow& flow, const IpPacket& packet) const;
    bool take_equal(Flow& flow, const IpPacket& packet);
    void let_out(std::uint64_t number);
    std::uint64_t keep_ahead(ByteView frame);
    void forget_ahead(std::uint64_t number);
    static void append(Frames& frames, ByteView frame);

    bool comparing_ = false;
    std::map<FlowKey, Flow> flows_;
    std::map<std::uint64_t, Held> held_;    // the primary's, by the order in which they were sent
    std::map<std::uint64_t, Bytes> ahead_;  // the shadow's that are not matched yet
    std::uint64_t next_ = 0;
    std::size_t held_bytes_ = 0, ahead_bytes_ = 0;
    std::uint64_t dropped_ = 0;
    std::optional<Instant> suspected_;
    Instant begun_{};
    Output output_;
};

}  // namespace segue
