// SPDX-License-Identifier: LGPL-2.1-or-later
// segue-agent: QEMU's links on this host, the one connection to the standby, and who may go on when
// that is lost. One process per protected VM, so that a restart of segued interrupts nothing.
#pragma once

#include <deque>
#include <memory>

#include "net/connect.h"
#include "net/descriptor.h"
#include "net/resolve.h"
#include "net/tls.h"
#include "protect/agent_session.h"
#include "protect/loss_table.h"
#include "standby/agent_disk.h"
#include "standby/agent_network.h"
#include "standby/agent_options.h"
#include "standby/control_socket.h"
#include "standby/heartbeat.h"
#include "standby/screen_line.h"
#include "standby/witness_line.h"

namespace segue::standby {

class Agent final : private AgentSession::Owner {
  public:
    // Listens when it returns, and connects to the standby. Errors name what could not be had.
    static Result<std::unique_ptr<Agent>> make(RunLoop& loop, AgentOptions options);
    ~Agent() override;

  private:
    enum class State {
        linking,   // to the standby
        ready,     // QEMU may migrate here
        syncing,   // the first state is on its way
        guarding,  // protected
        ending,    // given up here: nothing leaves before the standby has confirmed that it knows
        lost,      // the standby is of no use: the guest goes on alone
        asking,    // the same, and the witness is to say who goes on: nothing leaves
        isolated,  // the same, and the standby may have taken over: nothing leaves
        dead,      // QEMU has ended
        ended,     // protection was given up
    };
    static std::string_view name_of(State state);

    Agent(RunLoop& loop, AgentOptions options);
    Result<> open();
    Result<> lock_directory();
    Result<> listen();
    Result<> open_disk(std::size_t number);
    Result<> open_card(std::size_t number);
    Result<> watch_qemu();
    std::string file(std::string_view name) const {
        return options_.state + "/" + std::string(name);
    }
    // "disk.sock", "disk1.sock", and so on.
    std::string socket(std::string_view name, std::size_t number) const;

    // AgentSession::Owner
    void answer(ColoMessage message) override;
    void forward(ByteView stream) override;
    bool freeze_input(bool waits) override;
    void hold_output() override;
    bool seal_output(std::uint64_t epoch) override;
    void release_output(std::uint64_t epoch) override;
    void tell_protected() override;
    void tell_checkpoint(const AgentSession::CheckpointFacts& facts) override;

    void connect();
    void linked(Result<net::Descriptor> socket);
    void link_input(ByteView bytes);
    Result<> take(const AgentLink::Message& message);
    Result<> take_word(ColoMessage word);
    void send(Bytes frame);
    void watch_backlog();
    void begin_heartbeat();
    void standby_in_trouble(BeatJudge::Verdict verdict);

    void accept_qemu(net::Descriptor socket);
    void qemu_input(ByteView bytes);
    void qemu_link_ended(const Error& reason);
    void qemu_ended();
    bool qemu_is_gone() const;
    void fence();
    void look_at_fence();
    bool qemu_stands_still() const;
    void guest_sent(std::size_t card, FrameGate::Frames frames);
    void pass_frames();
    void release_frames(std::uint64_t epoch);

    void open_witness();
    void open_screen();
    void screen_fails(const std::string& reason);
    void breaks(const std::string& reason);
    void witness_settled(LeaseClient::Claim claim);
    bool may_release() const;
    void release_or_wait();
    void release_what_waits();
    std::size_t held_frames() const;
    std::int64_t recent_pause_us() const;

    loss::Case loss_case() const;
    void lose(const std::string& reason);
    void part(loss::Course course);
    void give_up(const std::string& reason, bool by_order);
    void copy_ended(std::size_t disk);
    bool mark_taken() const;
    void hold_cards();
    void read_on();
    void go_on_alone();
    bool may_be_taken_over() const;
    static tl::unexpected<Error> refusal();
    void say_farewell(AgentLink::Kind kind);

    void on_request(const Json& request, ControlSocket::Reply reply);
    void freeze(ControlSocket::Reply reply, bool by_user);
    void hold(std::uint64_t ms);
    void unhold();
    void thaw();
    void resume(ControlSocket::Reply reply);
    void answer_resume();
    void answer_freeze();
    void end(ControlSocket::Reply reply);
    void answer_end();
    Json status() const;

    RunLoop& loop_;
    AgentOptions options_;
    State state_ = State::linking;
    std::string reason_;
    net::Descriptor lock_;
    net::Resolver resolver_;
    AgentSession session_;

    std::unique_ptr<net::Connector> connector_;
    std::unique_ptr<net::Connection> connection_;
    AgentLink link_{AgentLink::End::agent};
    Bytes link_bytes_;
    bool full_ = false;
    std::unique_ptr<Heartbeat> heartbeat_;
    std::unique_ptr<WitnessLine> witness_;
    // Where clients see and hear only what the standby has.
    std::unique_ptr<ScreenLine> screen_;
    // The standby has the first state, and the screen is not held yet.
    bool ready_waits_ = false;
    Instant screen_until_{};  // of the epoch that was committed last
    // The standby said so: by order of its operator.
    bool taken_ = false;
    // The same, of the contrary: it never will.
    bool given_up_ = false;
    // What our own operator wants, and not a loss.
    bool ends_by_order_ = false;

    std::unique_ptr<net::Listener> qemu_listener_;
    std::unique_ptr<net::Connection> qemu_;
    net::Descriptor qemu_process_;
    std::unique_ptr<Watch> qemu_watch_;
    std::unique_ptr<Timer> grace_, broken_grace_;
    // Of a QEMU that was killed and may not be able to end.
    std::unique_ptr<Timer> fence_look_;
    bool is_fenced_ = false;
    std::string broken_reason_;
    struct Card {
        std::unique_ptr<AgentNetwork> network;
        FrameGate gate;
    };
    std::vector<std::unique_ptr<AgentDisk>> disks_;
    std::vector<std::unique_ptr<Card>> cards_;
    // With the gate at the standby: frames that are there and not known to be released.
    std::size_t open_frames_ = 0;
    std::deque<std::size_t> sealed_frames_;
    // Committed, and kept back while nobody vouches for us.
    std::uint64_t release_waits_ = 0;
    std::unique_ptr<Timer> release_again_;
    std::unique_ptr<ControlSocket> control_;
    ControlSocket::Reply freeze_reply_;
    std::unique_ptr<Timer> freeze_bound_;
    // Hybrid mode: the frames for the guest that QEMU has not read yet.
    std::unique_ptr<Timer> input_look_;
    Instant input_since_{};
    // A checkpoint that is held back for some time.
    std::unique_ptr<Timer> hold_bound_;
    bool holds_for_good_ = false;
    // Frozen, or about to be, by its user: nobody but him lets it go on.
    bool paused_ = false;
    // He does, and the standby has not said yet that it knows.
    std::vector<ControlSocket::Reply> resume_replies_;
    std::vector<ControlSocket::Reply> end_replies_;
    std::unique_ptr<Timer> farewell_bound_;
    bool farewell_said_ = false;
    std::unique_ptr<Timer> quit_;

    // Figures, in the order of their epochs.
    std::deque<std::int64_t> pauses_us_, lags_us_;
    std::deque<Instant> sealed_at_;  // of epochs that are not committed yet
    Instant pause_began_{};
    Instant committed_state_at_{};
    std::uint64_t bytes_ = 0, pages_ = 0, checkpoints_ = 0;
};

}  // namespace segue::standby
