// SPDX-License-Identifier: LGPL-2.1-or-later
// The agent between a stock QEMU primary and a remote standby. It answers QEMU as soon as it owns a
// whole checkpoint, passes every byte on, and counts the epochs that the standby has committed; at
// most kMaxInFlight of them are on their way before QEMU has to wait. The same table of states as
// the standby's judges QEMU's messages. No sockets, no clock.
#pragma once

#include <string>

#include "protect/colo_machine.h"
#include "qemu/stream_reader.h"

namespace segue {

class AgentSession final : private StreamEvents {
  public:
    static constexpr std::uint64_t kMaxInFlight = 2;

    struct CheckpointFacts {
        std::uint64_t epoch = 0;
        std::uint64_t pages = 0;
        std::uint64_t bytes = 0;
    };

    // What the session wants done, in order, from inside the call that caused it.
    class Owner {
      public:
        virtual ~Owner() = default;
        virtual void answer(ColoMessage message) = 0;  // to QEMU
        virtual void forward(ByteView stream) = 0;     // to the standby
        // QEMU's request is about to be answered: what comes for its guest from outside must wait
        // from here on, until vmstate_loaded, and QEMU must have read what came before. False: it
        // has not; input_read() is told then. `waits`: the next request is left unanswered.
        virtual bool freeze_input(bool /*waits*/) { return true; }
        // From here on frames belong to epochs.
        virtual void hold_output() = 0;
        // The primary stands still: what it has sent so far belongs to `epoch`. Frames that can be
        // read must be on their way before this returns. False: something that its guest has
        // written is missing; the standby never gets the whole of this epoch or a later one.
        virtual bool seal_output(std::uint64_t epoch) = 0;
        virtual void release_output(std::uint64_t epoch) = 0;
        virtual void tell_protected() = 0;
        virtual void tell_checkpoint(const CheckpointFacts& facts) = 0;
    };

    explicit AgentSession(Owner& owner)
        : owner_(owner), machine_(colo::Secondary::idle, colo::Mode::periodic) {}

    colo::Secondary state() const { return machine_.state(); }
    bool is_protected() const { return committed_ > 0 && !detached_; }
    // Whole here; committed there.
    std::uint64_t local_epoch() const { return local_; }
    std::uint64_t committed_epoch() const { return committed_; }
    // An epoch was not sealed: QEMU is answered when standby_lost() has said how it goes on.
    bool is_withheld() const { return withheld_; }
    // QEMU waits for a slow standby.
    bool is_waiting() const { return answer_waits_; }

    // QEMU has connected. False: it must be refused.
    bool connected();
    // An error is QEMU's fault: its connection ends.
    Result<> received(ByteView bytes);

    // One of the standby's words.
    Result<> standby_said(ColoMessage message);
    // The standby is of no use any more. With `go_on` QEMU is answered at once from now on, so that
    // its guest never waits; without, it is not answered again: the guest stands still at its next
    // checkpoint.
    void standby_lost(bool go_on);

    // The next checkpoint is not answered: the guest stands still in exactly the state that the
    // standby gets, also when that is lost then. thaw() answers it, alone where it must be.
    void freeze() {
        frozen_ = true;
        answer_request();
    }
    void thaw();
    bool is_frozen() const { return frozen_; }
    // No checkpoint begins: QEMU's next request is not answered, so that the guest stays in
    // whatever state of QEMU's it is. unhold() answers it.
    void hold() { held_ = true; }
    void unhold();
    // Hybrid mode. The guest runs on while a request waits: it is answered when the standby asks,
    // or when there is nobody any more who would.
    enum class Answers { every, one, none };
    void answer_requests(Answers how);
    bool is_paced() const { return answers_ == Answers::every; }
    void input_read() { answer_request(); }
    // A request came and is not answered: to QEMU its checkpoint has not begun.
    bool owes_reply() const { return reply_owed_; }
    // The guest stands still, and the standby has everything.
    bool is_still() const { return frozen_ && answer_waits_ && committed_ == local_; }

  private:
    Result<> on_head(const StreamHead& head) override;
    Result<> on_first_state(ByteView device_state) override;
    Result<> on_message(ColoMessage message) override;
    Result<> on_checkpoint_state(ByteView device_state) override;
    void on_page(std::uint32_t, std::uint64_t, const std::uint8_t*) override { facts_.pages += 1; }
    void on_fill(std::uint32_t, std::uint64_t, std::uint8_t) override { facts_.pages += 1; }
    void on_delta(std::uint32_t, std::uint64_t, ByteView) override { facts_.pages += 1; }

    Result<> tell(colo::Event event);
    void carry_out(colo::Action action);
    void commit();
    bool forwards() const { return !detached_ && !stopped_ && !withheld_; }
    void answer_if_allowed();
    void answer_request();

    Owner& owner_;
    colo::Machine<colo::Secondary> machine_;
    StreamReader reader_;
    Bytes input_;
    std::uint64_t local_ = 0;
    std::uint64_t committed_ = 0;
    bool answer_waits_ = false;
    bool frozen_ = false;
    bool held_ = false;
    bool reply_owed_ = false;
    Answers answers_ = Answers::every;
    bool detached_ = false;
    bool stopped_ = false;
    bool withheld_ = false;
    std::uint64_t begins_at_ = 0;  // of this checkpoint, in the stream
    CheckpointFacts facts_;
};

}  // namespace segue
