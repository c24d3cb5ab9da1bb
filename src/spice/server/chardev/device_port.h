// SPDX-License-Identifier: LGPL-2.1-or-later
// The flow between one character device of the guest and those who use it. Toward the guest a
// bounded queue keeps the order, through partial writes, a stopped machine and a hand-over; from
// the guest bytes are read only when their user has room, so the guest waits and nothing is kept
// here. Home thread, or the embedder's lock held.
#pragma once

#include <deque>
#include <memory>

#include "base/loop.h"
#include "base/result.h"
#include "spice/server/device.h"
#include "spice/wire/migration.schema.h"
#include "spice/wire/shared_bytes.h"

namespace segue::spice::server {

namespace wire = segue::spice::wire;

// Who queued a piece; the server itself is 0.
using Payer = std::uint64_t;

class DevicePort {
  public:
    static constexpr Payer kServer = 0;
    // Above this the writer is to wait; the rest is for what was under way when it was told.
    static constexpr std::size_t kHighMark = 256u << 10;
    static constexpr std::size_t kMostQueued = wire::migration::kDeviceData - (1u << 20);
    // A device that does not tell when it can take more is asked this often.
    static constexpr Duration kRetry = 100ms;

    class Owner {
      public:
        virtual ~Owner() = default;
        // The device may have bytes: read() them until there are none or nobody takes more. The
        // read that finds nothing matters: it tells the device that we listen again.
        virtual void device_readable() = 0;
        // A piece has gone to the guest; `tokens` is what it cost its payer.
        virtual void device_took(Payer payer, std::uint32_t tokens) = 0;
        // The queue fell below the high mark.
        virtual void device_has_room() = 0;
    };

    // What was not yet taken by the guest: the part of a port that moves with its machine.
    struct Unwritten {
        Bytes bytes;
        std::uint32_t tokens = 0;
    };

    DevicePort(std::unique_ptr<CharDevice> device, Loop& loop, Owner& owner);
    ~DevicePort();
    DevicePort(const DevicePort&) = delete;
    DevicePort& operator=(const DevicePort&) = delete;

    CharDevice& device() { return *device_; }

    // Fails when the queue is full: the payer's connection is to be closed.
    Result<> write(wire::SharedBytes bytes, Payer payer = kServer, std::uint32_t tokens = 0);
    std::size_t queued() const { return queued_; }
    bool is_full() const { return queued_ >= kHighMark; }
    // Bytes from the guest; 0: nothing now.
    std::size_t read(std::span<std::uint8_t> into);

    // The machine runs, or stands: then nothing moves.
    void set_running(bool running);
    // Nothing moves until the state of another server has come.
    void set_held(bool held);
    // The device can take bytes, or has some.
    void wakeup();
    // The payer has gone. What the guest has begun to take is finished.
    void forget(Payer payer);

    Unwritten capture(Payer payer) const;
    // Of several payers each takes along what came since the last capture, whoever paid for it, and
    // all tokens of its own.
    Unwritten capture_rest(Payer payer);
    // In front of everything queued here.
    void restore(Unwritten state, Payer payer);

  private:
    struct Piece {
        wire::SharedBytes bytes;
        Payer payer;
        std::uint32_t tokens;
    };
    Unwritten capture_from(std::size_t first, Payer payer) const;
    bool moves() const { return running_ && !held_; }
    void push();
    // False: the device takes nothing more, or this port has ended.
    bool push_first();

    std::unique_ptr<CharDevice> device_;
    Owner& owner_;
    std::unique_ptr<Timer> retry_;  // none when the device tells
    std::deque<Piece> queue_;
    std::size_t begun_ = 0;     // bytes of the first piece that the guest has
    std::size_t captured_ = 0;  // pieces at the front that went along with a payer already
    std::size_t queued_ = 0;
    bool running_ = false;
    bool held_ = false;
    bool pushing_ = false;
    // The device may take us away from inside any call to it.
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace segue::spice::server
