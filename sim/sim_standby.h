// SPDX-License-Identifier: LGPL-2.1-or-later
// The standby of a simulated protection: table, gate and the reader of QEMU's stream are the real
// ones; what segue-standby decides around them is repeated here.
#pragma once

#include <optional>

#include "protect/colo_machine.h"
#include "qemu/stream_reader.h"
#include "sim/protected_guest.h"
#include "sim/protection_link.h"
#include "sim/sim_beats.h"
#include "sim/sim_witness.h"

namespace segue::sim {

class SimStandby final : private StreamEvents {
  public:
    SimStandby(World& world, Policy policy, ProtectionMistake mistake, Link& link, Outside& outside,
               SimWitness& witness, SimBeats& beats)
        : world_(world),
          policy_(policy),
          mistake_(mistake),
          link_(link),
          outside_(outside),
          beats_(beats) {
        beats_.standby_beats = [this] { return alive_; };
        link_.to_standby = [this](ByteView bytes) {
            input_.insert(input_.end(), bytes.begin(), bytes.end());
            look();
        };
        link_.standby_loses = [this] { lose(); };
        if (policy_.has_witness) {
            line_.emplace(world, witness, LeaseTable::Side::standby);
            line_->settled = [this](LeaseClient::Claim claim) {
                if (alive_ && claim == LeaseClient::Claim::granted) promote();
            };
        }
    }

    void die() {
        alive_ = false;
        if (line_) line_->rest();
    }
    bool was_protected() const { return committed_ > 0; }
    bool is_promoted() const { return promoted_ != nullptr; }
    std::uint64_t promoted_from() const { return promoted_from_; }
    // An operator who knows that the primary's host is dead.
    void promote_by_hand() {
        if (alive_ && machine_.state() == colo::Secondary::lost) promote();
    }
    // An operator who wants it though both live.
    void take_over() {
        const bool holds = committed_ > 0 && machine_.state() != colo::Secondary::lost;
        if (!alive_ || closed_ || !holds || is_promoted()) return;
        link_.send_to_agent(AgentLink::tell(AgentLink::Kind::taken));
        yield_waits_ = true;
        if (mistake_ == ProtectionMistake::take_unheard) promote();
    }
    std::string error;

  private:
    bool is_committing() const {
        return machine_.state() == colo::Secondary::committing ||
               machine_.state() == colo::Secondary::committing_first;
    }
    void look() {
        while (alive_ && !closed_) {
            if (is_committing() && mistake_ != ProtectionMistake::look_past_commit) return;
            AgentLink::Message message;
            const auto used = link_reader_.next(input_, message);
            if (!used) error = used.error().message;
            if (!used || *used == 0) return;
            const Bytes bytes(message.bytes.begin(), message.bytes.end());
            input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(*used));
            take(message.kind, message.offset, bytes);
        }
    }
    void take(AgentLink::Kind kind, std::uint64_t offset, const Bytes& bytes) {
        if (kind == AgentLink::Kind::hello) {
            link_.send_to_agent(AgentLink::tell(AgentLink::Kind::welcome));
        } else if (kind == AgentLink::Kind::frames) {
            outside_.hears(gate_.sent({bytes, 1}), false);
        } else if (kind == AgentLink::Kind::dead) {
            dead_ = true;
            lose();
        } else if (kind == AgentLink::Kind::ends) {
            ended_ = true;
            outside_.hears(gate_.pass(), false);
            link_.send_to_agent(AgentLink::tell(AgentLink::Kind::given_up));
            lose();
        } else if (kind == AgentLink::Kind::yields) {
            yielded_ = true;
            if (yield_waits_) promote();
        } else if (kind == AgentLink::Kind::write) {
            disk_ = std::max(disk_, offset);
        } else if (kind == AgentLink::Kind::stream) {
            if (machine_.state() == colo::Secondary::idle) (void)tell(colo::Event::connected);
            stream_.insert(stream_.end(), bytes.begin(), bytes.end());
            read();
        }
    }
    void read() {
        for (std::size_t used = 1; used != 0;) {
            const auto now = reader_.read(stream_, *this);
            if (!now) error = now.error().message;
            used = now ? *now : 0;
            stream_.erase(stream_.begin(), stream_.begin() + static_cast<std::ptrdiff_t>(used));
        }
    }
    void lose() {
        if (!alive_ || closed_) return;
        closed_ = true;
        yield_waits_ = false;
        (void)beats_.part();
        if (machine_.ask(colo::Event::link_lost).row != nullptr) (void)tell(colo::Event::link_lost);
        if (machine_.state() == colo::Secondary::lost) after_loss();
    }
    void after_loss() {
        if (ended_) return;
        const bool asks = line_ && !dead_ && mistake_ != ProtectionMistake::believe_nobody;
        if (asks) return line_->claim();
        if (policy_.has_witness) return promote();
        if (policy_.promote_on_loss || dead_) promote();
    }
    void promote() {
        if (!alive_ || is_promoted() || machine_.ask(colo::Event::promote).row == nullptr) return;
        const bool bound = policy_.gate_at_primary && !dead_ && !yielded_ &&
                           mistake_ != ProtectionMistake::break_the_word &&
                           mistake_ != ProtectionMistake::take_unheard;
        const Duration left = bound ? beats_.part() : Duration{0};
        if (left > Duration{0}) return world_.after(left, [this] { promote(); });
        (void)tell(colo::Event::promote);
        closed_ = true;
        world_.trace("standby: promotes from {}", committed_);
        gate_.discard();
        outside_.hears(gate_.pass(), true);
        promoted_from_ = committed_;
        promoted_ = make_lifeline();
        next_ = committed_;
        tick();
    }
    void tick() {
        if (!alive_) return;
        outside_.hears({frame_of(++next_), 1}, true);
        world_.after(world_.between(1ms, 4ms), promoted_, [this] { tick(); });
    }

    Result<> tell(colo::Event event) {
        for (const colo::Action action : TRY(machine_.tell(event)))
            carry_out(action);
        return {};
    }
    void carry_out(colo::Action action) {
        switch (action) {
            case colo::Action::pass_output: outside_.hears(gate_.pass(), false); break;
            case colo::Action::hold_output: gate_.hold(); break;
            case colo::Action::commit:
                if (machine_.state() == colo::Secondary::committing) gate_.seal(epoch_ + 1);
                world_.after(world_.between(0ms, 20ms), [this] { committed(); });
                break;
            case colo::Action::send_ready: word(ColoMessage::checkpoint_ready); break;
            case colo::Action::send_reply: word(ColoMessage::checkpoint_reply); break;
            case colo::Action::send_received: word(ColoMessage::vmstate_received); break;
            case colo::Action::send_loaded: word(ColoMessage::vmstate_loaded); break;
            case colo::Action::release_output: outside_.hears(gate_.release(epoch_), false); break;
            default: break;
        }
    }
    void word(ColoMessage message) { link_.send_to_agent(AgentLink::word(message)); }
    void committed() {
        if (!alive_ || machine_.ask(colo::Event::committed).row == nullptr) return;
        epoch_ += 1;
        committed_ = staged_;
        if (disk_ < staged_) {
            error = fmt::format("committed memory of {} with a disk of {}", staged_, disk_);
        }
        (void)tell(colo::Event::committed);
        if (machine_.state() == colo::Secondary::lost) return after_loss();
        look();
    }

    Result<> on_head(const StreamHead&) override { return tell(colo::Event::head_read); }
    Result<> on_first_state(ByteView state) override {
        staged_ = counter_of(state);
        return tell(colo::Event::first_state_whole);
    }
    Result<> on_message(ColoMessage message) override { return tell(colo::event_of(message)); }
    Result<> on_checkpoint_state(ByteView state) override {
        staged_ = counter_of(state);
        return tell(colo::Event::state_whole);
    }
    void on_page(std::uint32_t, std::uint64_t, const std::uint8_t*) override {}
    void on_fill(std::uint32_t, std::uint64_t, std::uint8_t) override {}
    void on_delta(std::uint32_t, std::uint64_t, ByteView) override {}

    World& world_;
    Policy policy_;
    ProtectionMistake mistake_;
    Link& link_;
    Outside& outside_;
    SimBeats& beats_;
    AgentLink link_reader_{AgentLink::End::standby};
    StreamReader reader_;
    Bytes input_, stream_;
    colo::Machine<colo::Secondary> machine_{colo::Secondary::idle, colo::Mode::periodic};
    FrameGate gate_;
    Lifeline promoted_;
    std::uint64_t staged_ = 0, committed_ = 0, epoch_ = 0, promoted_from_ = 0, next_ = 0;
    std::uint64_t disk_ = 0;
    bool alive_ = true, dead_ = false, ended_ = false, closed_ = false, yield_waits_ = false;
    bool yielded_ = false;
    std::optional<SimWitnessLine> line_;
};

}  // namespace segue::sim
