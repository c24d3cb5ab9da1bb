// SPDX-License-Identifier: LGPL-2.1-or-later
// The guest's frames on their way out: they pass, or are held until the epoch that they belong to
// is committed. I/O-free. Wire format of QEMU's stream netdev: be32 length, then the Ethernet
// frame.
#pragma once

#include <deque>

#include "base/bytes.h"
#include "base/result.h"

namespace segue {

// QEMU's own bound (net/net.h, NET_BUFSIZE): a longer frame would make it drop the connection.
inline constexpr std::size_t kMaxFrame = 4096 + 65536;
inline constexpr std::size_t kFrameHead = 4;

// Cuts a byte stream into frames.
class FrameSplitter {
  public:
    // Takes bytes; then take() gives whole frames with their heads until it is empty. An error
    // (limit_exceeded) ends the connection; what is not whole is forgotten.
    Result<> feed(ByteView bytes);
    // The frames that are whole so far, with their heads, one after the other, and how many. Empty
    // frames are left out: QEMU's datagram netdev stops reading for good when it gets one.
    struct Frames {
        Bytes bytes;
        std::size_t count = 0;
    };
    Frames take();
    // Forgets an unfinished frame: the connection ended.
    void reset() { rest_.clear(); }

  private:
    Bytes rest_;
    Frames whole_;
};

// One frame with its head, as the stream format has it. Frames beyond kMaxFrame, and empty ones,
// give nothing.
Bytes framed(ByteView frame);

class FrameGate {
  public:
    enum class Mode { pass, hold };
    using Frames = FrameSplitter::Frames;

    Mode mode() const { return mode_; }
    // The guest sent these; what may leave at once is returned.
    Frames sent(Frames frames);
    // From here on frames are held. What was held before stays.
    void hold() { mode_ = Mode::hold; }
    // Nothing is promised any more: everything held leaves, and what comes passes.
    Frames pass();
    // What is held and not sealed yet belongs to `epoch`.
    void seal(std::uint64_t epoch);
    // The epoch, and all before it, are committed: their frames leave.
    Frames release(std::uint64_t epoch);
    // The epochs that are not committed never were.
    void discard();

    std::size_t held_frames() const;
    std::size_t held_bytes() const;
    // Whether more may be held. Beyond, the owner stops reading the guest's socket, and frames wait
    // in QEMU; where that would stop more than frames, it drops and counts them, as a full switch
    // port does.
    bool is_full() const { return held_bytes() >= kMaxHeldBytes; }
    static constexpr std::size_t kMaxHeldBytes = 64U << 20;

  private:
    struct Sealed {
        std::uint64_t epoch;
        Frames frames;
    };
    static void append(Frames& to, Frames from);

    Mode mode_ = Mode::pass;
    Frames open_;
    std::deque<Sealed> sealed_;
};

}  // namespace segue
