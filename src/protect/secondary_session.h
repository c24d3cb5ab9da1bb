// SPDX-License-Identifier: LGPL-2.1-or-later
// The secondary of a stock QEMU: the table, the reader of its stream and the page store together.
// No sockets, no clock: the owner moves bytes, waits, and carries out what only it can.
#pragma once

#include <functional>
#include <string>

#include "protect/colo_machine.h"
#include "protect/page_store.h"

namespace segue {

class SecondarySession final : private StreamEvents {
  public:
    struct CheckpointFacts {
        std::uint64_t epoch = 0;
        std::uint64_t pages = 0;  // pages, fills and deltas
        std::uint64_t bytes = 0;  // on the wire, from checkpoint-request to the end of the state
    };

    // What the session wants done, in order, from inside the call that caused it.
    class Owner {
      public:
        virtual ~Owner() = default;
        virtual void send(ColoMessage message) = 0;
        // Whether a promotion could run this machine. An error refuses the primary.
        virtual Result<> check_head(const StreamHead& head) = 0;
        // Nothing is promised (before the first epoch): let frames and disk writes through.
        virtual void pass_output() = 0;
        virtual void hold_output() = 0;
        // The disk writes of the epoch that is arriving end here.
        virtual void seal_output() = 0;
        // Everything else of the epoch is here: make its output part durable, then call committed()
        // (at once, or later).
        virtual void begin_commit(std::uint64_t epoch) = 0;
        virtual void release_output(std::uint64_t epoch) = 0;
        // `reason`: one line, for both ends.
        virtual void drop_link(const std::string& reason) = 0;
        virtual void tell_protected() = 0;
        virtual void tell_checkpoint(const CheckpointFacts& facts) = 0;
        virtual void tell_lost(const std::string& reason) = 0;
        virtual void promote_vm() = 0;
        // Hybrid mode: the input of both guests must stop (then vm_suspended() is told), the SVM
        // must have what was committed (vm_loaded()), and both run from now on. Who has no SVM at
        // the moment tells so at once.
        virtual void suspend_vm() {}
        virtual void load_vm() {}
        virtual void resume_vm() {}
        virtual void start_comparing() {}
    };

    // A store that holds an epoch begins as "lost".
    SecondarySession(PageStore& store, Owner& owner, std::function<std::int64_t()> wall_ms,
                     colo::Mode mode = colo::Mode::periodic);

    colo::Secondary state() const { return machine_.state(); }
    // How long the present wait may last, counted from the last change or the last byte.
    std::optional<Duration> limit(const colo::Limits& limits) const {
        return colo::limit_of(state(), limits);
    }
    bool is_protected() const;

    // An earlier process promoted: nothing is held, and primaries are refused for ever.
    void adopt_promoted() {
        machine_ = colo::Machine<colo::Secondary>(colo::Secondary::promoted, machine_.mode());
    }

    // A primary has connected. False: it must be refused.
    bool connected();
    // Where its next bytes belong.
    Result<std::span<std::uint8_t>> space();
    // Bytes were received there. An error is the primary's (or a limit of ours): tell link_lost().
    Result<> received(std::size_t bytes);
    void link_lost(const std::string& reason);
    void time_up();
    // The owner's part of begin_commit() is durable. Error: the store cannot go on; link_lost().
    Result<> committed();
    // It never will be: the epoch before stays. The link is gone already.
    void commit_failed(const std::string& reason);

    // Whether promote() can succeed, now or when what is being committed has come to its end.
    Result<> may_promote() const;
    // Hybrid mode: what the owner was asked for is done. Nothing, when that is over.
    void vm_suspended() { (void)tell_if_due(colo::Event::suspended); }
    void vm_loaded() { (void)tell_if_due(colo::Event::loaded); }

    // An error says why not; else promote_vm() was called, and the outcome must be told.
    Result<> promote();
    void promotion_done();
    void promotion_failed();

  private:
    Result<> on_head(const StreamHead& head) override;
    Result<> on_first_state(ByteView device_state) override;
    Result<> on_message(ColoMessage message) override;
    Result<> on_checkpoint_state(ByteView device_state) override;
    void on_page(std::uint32_t block, std::uint64_t offset, const std::uint8_t* page) override;
    void on_fill(std::uint32_t block, std::uint64_t offset, std::uint8_t value) override;
    void on_delta(std::uint32_t block, std::uint64_t offset, ByteView encoded) override;

    Result<> tell(colo::Event event);
    Result<> tell_if_due(colo::Event event);
    void carry_out(colo::Action action);
    Result<> begin_store();
    Result<> finish_commit();
    std::size_t in_log(std::uint64_t position) const;

    PageStore& store_;
    Owner& owner_;
    std::function<std::int64_t()> wall_ms_;
    colo::Machine<colo::Secondary> machine_;
    StreamReader reader_;
    std::size_t parsed_ = 0;  // bytes of the log that the reader has used
    bool head_waits_ = false;
    bool in_read_ = false;             // committed() may be called from inside begin_commit()
    bool commit_finishes_ = false;     // when the reader has returned
    bool loads_ = false;               // then: the SVM
    std::uint64_t log_begins_at_ = 0;  // in the stream
    RamSink* first_pages_ = nullptr;
    Bytes first_state_;
    PageStore::Checkpoint checkpoint_;
    CheckpointFacts facts_;
    std::string reason_;
};

}  // namespace segue
