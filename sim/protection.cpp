// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sim/protection.h"

#include <algorithm>
#include <deque>
#include <set>

#include "protect/agent_link.h"
#include "protect/agent_session.h"
#include "protect/frame_gate.h"
#include "sim/protected_guest.h"
#include "sim/sim_witness.h"

namespace segue::sim {
namespace {

using colo::Action;
using colo::Event;
using colo::Secondary;
using Kind = AgentLink::Kind;

constexpr Duration kEnd = 3s;
constexpr Duration kSilence = 300ms;  // until a side believes that the other is gone

Bytes frame_of(std::uint64_t number) {
    return framed(as_bytes(std::to_string(number)));
}

// What outside hears, and from which copy.
class Outside {
  public:
    struct Heard {
        std::uint64_t number;
        bool of_promoted;
        Instant at;
    };
    explicit Outside(World& world) : world_(world) {}
    void hears(const FrameGate::Frames& frames, bool of_promoted) {
        BigReader in(frames.bytes);
        while (in.remaining() > 0) {
            const std::uint64_t number = std::stoull(std::string(as_text(in.bytes(in.u32()))));
            world_.trace("heard {} {}", number, of_promoted ? "promoted" : "primary");
            heard.push_back({number, of_promoted, world_.now()});
        }
    }
    std::vector<Heard> heard;

  private:
    World& world_;
};

// One ordered connection; each end hears of a cut in its own time.
class Link {
  public:
    explicit Link(World& world) : world_(world) {}
    std::function<void(ByteView)> to_standby, to_agent;
    std::function<void()> standby_loses, agent_loses;

    void send_to_standby(const Bytes& bytes) { deliver(bytes, &to_standby, last_to_standby_); }
    void send_to_agent(const Bytes& bytes) { deliver(bytes, &to_agent, last_to_agent_); }
    // `agent_knows`, `standby_knows`: the end closes at once, as a process that ends does.
    void cut(bool agent_knows, bool standby_knows) {
        if (!open_) return;
        open_ = false;
        const auto later = [&](bool knows) {
            return knows ? world_.between(0ms, 5ms) : kSilence + world_.between(0ms, 100ms);
        };
        world_.after(later(agent_knows), [this] { agent_loses(); });
        world_.after(later(standby_knows), [this] { standby_loses(); });
    }

  private:
    void deliver(const Bytes& bytes, std::function<void(ByteView)>* to, Instant& last) {
        if (!open_) return;
        last = std::max(last, world_.now() + world_.between(0ms, 8ms));
        world_.after(last - world_.now(), [this, bytes, to] {
            // What was on its way when the link broke may have arrived, or not.
            if (open_ || world_.chance(30)) {
                if (!broken_) (*to)(bytes);
            } else {
                broken_ = true;
            }
        });
    }
    World& world_;
    bool open_ = true;
    bool broken_ = false;
    Instant last_to_standby_{}, last_to_agent_{};
};

struct Policy {
    bool promote_on_loss = false;
    bool gate_at_primary = false;
    bool has_witness = false;
};

class SimAgent final : public AgentSession::Owner {
  public:
    SimAgent(World& world, Policy policy, ProtectionMistake mistake, Link& link, Outside& outside,
             SimWitness& witness)
        : world_(world), policy_(policy), mistake_(mistake), link_(link), outside_(outside) {
        link_.to_agent = [this](ByteView bytes) {
            awake([this, copy = Bytes(bytes.begin(), bytes.end())] { link_input(copy); });
        };
        link_.agent_loses = [this] { awake([this] { lose(); }); };
        if (policy_.has_witness) {
            line_.emplace(world, witness, LeaseTable::Side::primary);
            line_->settled = [this](LeaseClient::Claim claim) { settled(claim); };
            line_->renewed = [this] {
                if (release_waits_ != 0) release_output(release_waits_);
            };
        }
        link_.send_to_standby(AgentLink::hello({}));
    }
    ProtectedGuest* qemu = nullptr;

    void sleep(Duration time) {
        wakes_at_ = world_.now() + time;
        if (line_) line_->sleep_until(wakes_at_);
    }
    void guest_sent(std::uint64_t number) {
        awake([this, number] { take_frame(number); });
    }
    void stream(const Bytes& bytes) {
        awake([this, bytes] { take_stream(bytes); });
    }
    bool begin() { return session_.connected(); }
    void qemu_died() {
        if (line_) line_->rest();
        if (!alive_ || lost_ || isolated_) return;
        link_.send_to_standby(AgentLink::tell(Kind::dead));
    }
    void die() {
        alive_ = false;
        if (line_) line_->rest();
    }
    bool is_lost() const { return lost_; }
    std::string error;

  private:
    // What comes while it sleeps is found afterwards, in its order.
    void awake(std::function<void()> task) {
        if (world_.now() >= wakes_at_ && waiting_.empty()) return task();
        waiting_.push_back(std::move(task));
        if (waiting_.size() > 1) return;
        world_.after(wakes_at_ - world_.now(), [this] {
            while (!waiting_.empty()) {
                waiting_.front()();
                waiting_.pop_front();
            }
        });
    }
    void take_frame(std::uint64_t number) {
        if (!alive_ || (isolated_ && !asking_)) return;
        const Bytes frame = frame_of(number);
        if (!policy_.gate_at_primary && !lost_ && !asking_) {
            return link_.send_to_standby(AgentLink::frames(0, frame));
        }
        leave(gate_.sent({frame, 1}));
    }
    void take_stream(const Bytes& bytes) {
        if (!alive_) return;
        const auto taken = session_.received(bytes);
        if (!taken) error = taken.error().message;
    }
    void link_input(ByteView bytes) {
        if (!alive_ || lost_ || isolated_) return;
        AgentLink::Message message;
        const auto used = reader_.next(bytes, message);
        if (!used) error = used.error().message;
        if (!used || message.kind != Kind::word) return;
        const auto said = session_.standby_said(message.word);
        if (!said) error = said.error().message;
    }
    void lose() {
        if (!alive_ || lost_ || isolated_) return;
        world_.trace("agent: the standby is lost");
        const bool standby_wins = policy_.promote_on_loss || policy_.has_witness;
        // A whole first state may be committed there by now, though its word was lost.
        const bool guarded = session_.is_protected() ||
                             (standby_wins && session_.state() == Secondary::committing_first);
        isolated_ = guarded && standby_wins && mistake_ != ProtectionMistake::believe_nobody;
        lost_ = !isolated_;
        if (guarded) session_.standby_lost(!isolated_);
        if (lost_) leave(gate_.pass());
        asking_ = isolated_ && line_ && !refused_;
        if (asking_) {
            gate_.hold();
            return line_->claim();
        }
        obey();
    }
    // segued: ends COLO, or stops the guest that may run elsewhere.
    void obey() {
        world_.after(200ms, [this] { isolated_ ? qemu->stop() : qemu->go_alone(); });
    }
    void settled(LeaseClient::Claim claim) {
        if (!alive_) return;
        refused_ = claim == LeaseClient::Claim::refused;
        if (!asking_) return lose();
        asking_ = false;
        if (!refused_) {
            isolated_ = false;
            lost_ = true;
            session_.thaw();
            leave(gate_.pass());
        }
        obey();
    }
    // Through QEMU's own back end, which dies with it.
    void leave(const FrameGate::Frames& frames) {
        if (qemu->is_alive()) outside_.hears(frames, false);
    }

    void answer(ColoMessage message) override {
        if (mistake_ == ProtectionMistake::release_early &&
            message == ColoMessage::vmstate_loaded) {
            leave(gate_.release(session_.local_epoch()));
        }
        last_answer_ = std::max(last_answer_, world_.now() + world_.between(0ms, 1ms));
        world_.after(last_answer_ - world_.now(), [this, message] { qemu->hears(message); });
    }
    void forward(ByteView stream) override { link_.send_to_standby(AgentLink::stream(stream)); }
    void hold_output() override {
        if (policy_.gate_at_primary) gate_.hold();
    }
    void seal_output(std::uint64_t epoch) override { gate_.seal(epoch); }
    void release_output(std::uint64_t epoch) override {
        const bool may = !line_ || !policy_.gate_at_primary || line_->may_release() ||
                         mistake_ == ProtectionMistake::forget_the_lease;
        release_waits_ = may ? 0 : epoch;
        if (may) leave(gate_.release(epoch));
    }
    void tell_protected() override {}
    void tell_checkpoint(const AgentSession::CheckpointFacts&) override {}

    World& world_;
    Policy policy_;
    ProtectionMistake mistake_;
    Link& link_;
    Outside& outside_;
    AgentSession session_{*this};
    AgentLink reader_{AgentLink::End::agent};
    FrameGate gate_;
    Instant wakes_at_{};
    std::deque<std::function<void()>> waiting_;
    Instant last_answer_{};  // words stay in order
    bool alive_ = true, lost_ = false, isolated_ = false;
    std::optional<SimWitnessLine> line_;
    bool asking_ = false, refused_ = false;
    std::uint64_t release_waits_ = 0;
};

class SimStandby final : private StreamEvents {
  public:
    SimStandby(World& world, Policy policy, ProtectionMistake mistake, Link& link, Outside& outside,
               SimWitness& witness)
        : world_(world), policy_(policy), mistake_(mistake), link_(link), outside_(outside) {
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
        if (alive_ && machine_.state() == Secondary::lost) promote();
    }
    std::string error;

  private:
    bool is_committing() const {
        return machine_.state() == Secondary::committing ||
               machine_.state() == Secondary::committing_first;
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
            take(message.kind, bytes);
        }
    }
    void take(Kind kind, const Bytes& bytes) {
        if (kind == Kind::hello) {
            link_.send_to_agent(AgentLink::tell(Kind::welcome));
        } else if (kind == Kind::frames) {
            outside_.hears(gate_.sent({bytes, 1}), false);
        } else if (kind == Kind::dead) {
            dead_ = true;
            lose();
        } else if (kind == Kind::stream) {
            if (machine_.state() == Secondary::idle) (void)tell(Event::connected);
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
        if (machine_.ask(Event::link_lost).row != nullptr) (void)tell(Event::link_lost);
        if (machine_.state() == Secondary::lost) after_loss();
    }
    void after_loss() {
        const bool asks = line_ && !dead_ && mistake_ != ProtectionMistake::believe_nobody;
        if (asks) return line_->claim();
        if (policy_.has_witness) return promote();
        if (policy_.promote_on_loss || dead_) promote();
    }
    void promote() {
        if (is_promoted() || machine_.ask(Event::promote).row == nullptr) return;
        (void)tell(Event::promote);
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

    Result<> tell(Event event) {
        for (const Action action : TRY(machine_.tell(event)))
            carry_out(action);
        return {};
    }
    void carry_out(Action action) {
        switch (action) {
            case Action::pass_output: outside_.hears(gate_.pass(), false); break;
            case Action::hold_output: gate_.hold(); break;
            case Action::commit:
                if (machine_.state() == Secondary::committing) gate_.seal(epoch_ + 1);
                world_.after(world_.between(0ms, 20ms), [this] { committed(); });
                break;
            case Action::send_ready: word(ColoMessage::checkpoint_ready); break;
            case Action::send_reply: word(ColoMessage::checkpoint_reply); break;
            case Action::send_received: word(ColoMessage::vmstate_received); break;
            case Action::send_loaded: word(ColoMessage::vmstate_loaded); break;
            case Action::release_output: outside_.hears(gate_.release(epoch_), false); break;
            default: break;
        }
    }
    void word(ColoMessage message) { link_.send_to_agent(AgentLink::word(message)); }
    void committed() {
        if (!alive_ || machine_.ask(Event::committed).row == nullptr) return;
        epoch_ += 1;
        committed_ = staged_;
        (void)tell(Event::committed);
        if (machine_.state() == Secondary::lost) return after_loss();
        look();
    }

    Result<> on_head(const StreamHead&) override { return tell(Event::head_read); }
    Result<> on_first_state(ByteView state) override {
        staged_ = counter_of(state);
        return tell(Event::first_state_whole);
    }
    Result<> on_message(ColoMessage message) override { return tell(colo::event_of(message)); }
    Result<> on_checkpoint_state(ByteView state) override {
        staged_ = counter_of(state);
        return tell(Event::state_whole);
    }
    void on_page(std::uint32_t, std::uint64_t, const std::uint8_t*) override {}
    void on_fill(std::uint32_t, std::uint64_t, std::uint8_t) override {}
    void on_delta(std::uint32_t, std::uint64_t, ByteView) override {}

    World& world_;
    Policy policy_;
    ProtectionMistake mistake_;
    Link& link_;
    Outside& outside_;
    AgentLink link_reader_{AgentLink::End::standby};
    StreamReader reader_;
    Bytes input_, stream_;
    colo::Machine<Secondary> machine_{Secondary::idle, colo::Mode::periodic};
    FrameGate gate_;
    Lifeline promoted_;
    std::uint64_t staged_ = 0, committed_ = 0, epoch_ = 0, promoted_from_ = 0, next_ = 0;
    bool alive_ = true, dead_ = false, closed_ = false;
    std::optional<SimWitnessLine> line_;
};

class Run {
  public:
    explicit Run(const ProtectionOptions& options) : world_(options.seed), options_(options) {
        world_.set_verbose(options.verbose);
        policy_.promote_on_loss = world_.chance(50);
        policy_.gate_at_primary = world_.chance(50);
        policy_.has_witness = world_.chance(50);
        fault_ = static_cast<ProtectionFault>(world_.random().below(kProtectionFaults));
    }

    ProtectionResult go() {
        Link link(world_);
        Outside outside(world_);
        SimWitness witness(world_);
        SimStandby standby(world_, policy_, options_.mistake, link, outside, witness);
        SimAgent agent(world_, policy_, options_.mistake, link, outside, witness);
        ProtectedGuest qemu(world_, world_.between(10ms, 60ms),
                            {.frame =
                                 [&](std::uint64_t number) {
                                     // Without its agent the filter drops, until segued has taken
                                     // it out.
                                     if (filtered_) return agent.guest_sent(number);
                                     outside.hears({frame_of(number), 1}, false);
                                 },
                             .stream = [&](const Bytes& bytes) { agent.stream(bytes); }});
        agent.qemu = &qemu;
        qemu.boot();
        world_.after(20ms, [&] {
            if (agent.begin()) qemu.migrate();
        });
        world_.after(world_.between(25ms, 900ms),
                     [&] { strike(qemu, agent, standby, link, witness); });
        if (policy_.has_witness) {
            second_ = static_cast<WitnessFault>(world_.random().below(kWitnessFaults));
            world_.after(world_.between(25ms, 1500ms), [&] { strike_too(witness); });
        }
        while (world_.step(Instant{kEnd})) {
        }
        judge(outside, agent, standby, qemu);
        result_.digest = world_.digest();
        return std::move(result_);
    }

  private:
    void strike_too(SimWitness& witness) {
        world_.trace("second fault {}", static_cast<int>(second_));
        switch (second_) {
            case WitnessFault::none: return;
            case WitnessFault::witness_dies: return witness.die();
            case WitnessFault::primary_cut_off: return witness.cut(LeaseTable::Side::primary);
            case WitnessFault::standby_cut_off: return witness.cut(LeaseTable::Side::standby);
        }
    }

    void strike(ProtectedGuest& qemu, SimAgent& agent, SimStandby& standby, Link& link,
                SimWitness& witness) {
        world_.trace("fault {}", static_cast<int>(fault_));
        struck_protected_ = standby.was_protected();
        switch (fault_) {
            case ProtectionFault::none: return;
            case ProtectionFault::qemu_dies:
                qemu.die();
                agent.qemu_died();
                return;
            case ProtectionFault::host_dies:
                qemu.die();
                agent.die();
                link.cut(false, false);
                // The operator goes there, looks, and decides.
                if (policy_.has_witness) return;
                world_.after(1500ms, [&standby] { standby.promote_by_hand(); });
                return;
            case ProtectionFault::agent_dies:
                agent.die();
                link.cut(true, true);
                world_.after(200ms, [this, &qemu, &witness] {
                    const bool stops = policy_.has_witness
                                           ? !witness.grants(LeaseTable::Side::primary)
                                           : policy_.promote_on_loss;
                    if (stops) return qemu.stop();
                    filtered_ = false;
                    qemu.go_alone();
                });
                return;
            case ProtectionFault::standby_dies:
                standby.die();
                link.cut(true, true);
                return;
            case ProtectionFault::link_cut: link.cut(false, false); return;
            case ProtectionFault::agent_sleeps:
                agent.sleep(world_.between(400ms, 1400ms));
                world_.after(kSilence + world_.between(0ms, 50ms), [&] { link.cut(true, true); });
                return;
        }
    }

    template <class... Args>
    void violation(fmt::format_string<Args...> format, Args&&... args) {
        result_.violations.push_back(fmt::format(format, std::forward<Args>(args)...));
    }

    void judge(const Outside& outside, const SimAgent& agent, const SimStandby& standby,
               const ProtectedGuest& qemu) {
        result_.was_protected = standby.was_protected();
        result_.promoted = standby.is_promoted();
        result_.had_witness = policy_.has_witness;
        if (!agent.error.empty()) violation("agent: {}", agent.error);
        if (!standby.error.empty()) violation("standby: {}", standby.error);
        std::set<std::uint64_t> numbers;
        std::uint64_t highest_of_primary = 0;
        bool promoted_heard = false;
        for (const auto& one : outside.heard) {
            promoted_heard = promoted_heard || one.of_promoted;
            if (policy_.has_witness && promoted_heard && !one.of_promoted) {
                violation("{} of the primary was heard behind the promoted guest", one.number);
            }
            if (!numbers.insert(one.number).second) violation("{} was heard twice", one.number);
            if (!one.of_promoted) highest_of_primary = std::max(highest_of_primary, one.number);
        }
        if (standby.is_promoted() && highest_of_primary > standby.promoted_from()) {
            violation("{} was heard of the primary, and the promoted guest knows {}",
                      highest_of_primary, standby.promoted_from());
        }
        const bool gapless = standby.is_promoted() && !policy_.gate_at_primary;
        if (gapless && !numbers.empty() && numbers.size() != *numbers.rbegin()) {
            violation("{} numbers heard up to {}", numbers.size(), *numbers.rbegin());
        }
        judge_end(outside, standby, qemu);
    }

    void judge_end(const Outside& outside, const SimStandby& standby, const ProtectedGuest& qemu) {
        bool primary = false, promoted = false;
        for (const auto& one : outside.heard) {
            if (Instant{kEnd} - one.at > 500ms) continue;
            (one.of_promoted ? promoted : primary) = true;
        }
        if (primary && promoted) violation("two copies are heard in the end");
        // A fault before the first epoch leaves a guest that is not protected yet.
        const bool nobody = fault_ == ProtectionFault::qemu_dies && !struck_protected_;
        const bool dead_unprotected = !qemu.is_alive() && !standby.was_protected();
        const bool stopped = policy_.promote_on_loss && !policy_.has_witness &&
                             fault_ == ProtectionFault::standby_dies;
        const bool unlucky = policy_.promote_on_loss && fault_ == ProtectionFault::agent_dies &&
                             !standby.was_protected();
        // Who cannot reach the witness stands still, and its operator is told.
        if (policy_.has_witness && second_ != WitnessFault::none) return;
        if (!primary && !promoted && !nobody && !dead_unprotected && !stopped && !unlucky) {
            violation("nobody is heard in the end");
        }
    }

    World world_;
    ProtectionOptions options_;
    Policy policy_;
    ProtectionFault fault_ = ProtectionFault::none;
    WitnessFault second_ = WitnessFault::none;
    bool filtered_ = true;
    bool struck_protected_ = false;
    ProtectionResult result_;
};

}  // namespace

ProtectionResult run_protection(const ProtectionOptions& options) {
    return Run(options).go();
}

}  // namespace segue::sim
