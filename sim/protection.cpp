// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sim/protection.h"

#include <algorithm>
#include <deque>
#include <set>

#include "protect/agent_link.h"
#include "protect/agent_session.h"
#include "protect/frame_gate.h"
#include "protect/loss_table.h"
#include "sim/protected_guest.h"
#include "sim/protection_link.h"
#include "sim/sim_beats.h"
#include "sim/sim_standby.h"
#include "sim/sim_witness.h"

namespace segue::sim {
namespace {

using colo::Secondary;
using Kind = AgentLink::Kind;

constexpr Duration kEnd = 3s;

class SimAgent final : public AgentSession::Owner {
  public:
    SimAgent(World& world, Policy policy, ProtectionMistake mistake, Link& link, Outside& outside,
             SimWitness& witness, SimBeats& beats)
        : world_(world),
          policy_(policy),
          mistake_(mistake),
          link_(link),
          outside_(outside),
          beats_(beats) {
        beats_.agent_beats = [this] { return alive_ && world_.now() >= wakes_at_; };
        link_.to_agent = [this](ByteView bytes) {
            awake([this, copy = Bytes(bytes.begin(), bytes.end())] { link_input(copy); });
        };
        link_.agent_loses = [this] { awake([this] { lose(); }); };
        if (policy_.has_witness) {
            line_.emplace(world, witness, LeaseTable::Side::primary);
            line_->settled = [this](LeaseClient::Claim claim) { settled(claim); };
            line_->renewed = [this] {
                if (release_waits_ != 0 && !isolated_) release_output(release_waits_);
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
        send(AgentLink::tell(Kind::dead));
    }
    // Its end can be seen at once by whoever looks; it is found out later.
    void copy_ends() {
        copies_ = false;
        awake([this] { world_.after(world_.between(0ms, 500ms), [this] { give_up(); }); });
    }
    void give_up_soon() {
        awake([this] { give_up(); });
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
        if (!alive_) return;
        if (copies_) send(AgentLink::write(0, number, {}));
        if (isolated_ && !asking_) return;
        const Bytes frame = frame_of(number);
        if (!policy_.gate_at_primary && !lost_ && !asking_ && !farewell_) {
            return send(AgentLink::frames(0, frame));
        }
        leave(gate_.sent({frame, 1}));
    }
    void send(const Bytes& bytes) {
        if (!farewell_ && !lost_ && !isolated_) link_.send_to_standby(bytes);
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
        if (!used) return;
        if (message.kind == Kind::given_up || (message.kind == Kind::taken && !farewell_)) {
            said_ = message.kind == Kind::taken ? loss::Said::taken : loss::Said::given_up;
            return lose();
        }
        if (message.kind != Kind::word || farewell_) return;
        const auto said = session_.standby_said(message.word);
        if (!said) error = said.error().message;
    }
    void lose() {
        if (!alive_ || lost_ || isolated_) return;
        world_.trace("agent: the standby is lost");
        part(mistake_ == ProtectionMistake::believe_nobody ? loss::Course::goes_on
                                                           : loss::who_goes_on(loss_case()));
    }
    loss::Case loss_case() const {
        const bool first = session_.state() == Secondary::committing_first;
        return {session_.is_protected()            ? loss::Held::epochs
                : first && !session_.is_withheld() ? loss::Held::first_state
                                                   : loss::Held::nothing,
                said_,
                policy_.has_witness       ? loss::Bias::witness
                : policy_.promote_on_loss ? loss::Bias::promote
                                          : loss::Bias::hold,
                loss::Guest::runs};
    }
    void part(loss::Course course) {
        const bool goes_on = course == loss::Course::goes_on;
        const bool was_protected = session_.is_protected() || !goes_on;
        if (said_ == loss::Said::taken) send(AgentLink::tell(Kind::yields));
        isolated_ = !goes_on;
        lost_ = goes_on;
        if (was_protected) session_.standby_lost(goes_on);
        if (goes_on) leave(gate_.pass());
        asking_ = course == loss::Course::asks && !refused_;
        if (!goes_on) gate_.hold();
        asking_ ? line_->claim() : obey();
    }
    // Nothing leaves before the standby has said that it knows.
    void give_up() {
        if (!alive_ || lost_ || isolated_ || farewell_) return;
        world_.trace("agent: gives the standby up");
        send(AgentLink::tell(Kind::ends));
        farewell_ = true;
        gate_.hold();
        const bool waits = !policy_.gate_at_primary && session_.is_protected();
        const bool goes_on = loss::who_goes_on(loss_case()) == loss::Course::goes_on;
        if ((goes_on && !waits) || mistake_ == ProtectionMistake::end_unheard) {
            part(loss::Course::goes_on);
        }
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
        const bool early = mistake_ == ProtectionMistake::release_early;
        if (early && message == ColoMessage::vmstate_loaded) {
            leave(gate_.release(session_.local_epoch()));
        }
        last_answer_ = std::max(last_answer_, world_.now() + world_.between(0ms, 1ms));
        world_.after(last_answer_ - world_.now(), [this, message] { qemu->hears(message); });
    }
    void forward(ByteView stream) override { send(AgentLink::stream(stream)); }
    void hold_output() override {
        if (policy_.gate_at_primary) gate_.hold();
    }
    bool seal_output(std::uint64_t epoch) override {
        if (!copies_ && mistake_ != ProtectionMistake::seal_blindly) return false;
        gate_.seal(epoch);
        return true;
    }
    void release_output(std::uint64_t epoch) override {
        const bool may = may_release();
        release_waits_ = may ? 0 : epoch;
        if (may) return leave(gate_.release(epoch));
        world_.after(25ms, [this, epoch] {
            awake([this, epoch] {
                if (release_waits_ == epoch && alive_ && !isolated_) release_output(epoch);
            });
        });
    }
    bool may_release() const {
        const bool by_itself = policy_.has_witness || policy_.promote_on_loss;
        if (!by_itself || !policy_.gate_at_primary) return true;
        return mistake_ == ProtectionMistake::forget_the_lease || beats_.may_release() ||
               (line_ && line_->may_release());
    }
    void tell_protected() override {}
    void tell_checkpoint(const AgentSession::CheckpointFacts&) override {}

    World& world_;
    Policy policy_;
    ProtectionMistake mistake_;
    Link& link_;
    Outside& outside_;
    SimBeats& beats_;
    AgentSession session_{*this};
    AgentLink reader_{AgentLink::End::agent};
    FrameGate gate_;
    Instant wakes_at_{};
    std::deque<std::function<void()>> waiting_;
    Instant last_answer_{};  // words stay in order
    bool alive_ = true, lost_ = false, isolated_ = false;
    bool copies_ = true, farewell_ = false;
    loss::Said said_ = loss::Said::nothing;
    std::optional<SimWitnessLine> line_;
    bool asking_ = false, refused_ = false;
    std::uint64_t release_waits_ = 0;
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
        SimBeats beats(world_);
        SimStandby standby(world_, policy_, options_.mistake, link, outside, witness, beats);
        SimAgent agent(world_, policy_, options_.mistake, link, outside, witness, beats);
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
                     [&] { strike(qemu, agent, standby, link, witness, beats); });
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
                SimWitness& witness, SimBeats& beats) {
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
            case ProtectionFault::link_cut:
                // Whatever way the beats have, it may be another one.
                if (world_.chance(50)) beats.cut();
                link.cut(false, false);
                return;
            case ProtectionFault::link_closed: link.cut(false, true); return;
            case ProtectionFault::copy_ends: return agent.copy_ends();
            case ProtectionFault::given_up: return agent.give_up_soon();
            case ProtectionFault::given_up_cut:
                agent.give_up_soon();
                link.cut(false, false);
                return;
            case ProtectionFault::taken_over: return standby.take_over();
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
            const bool strict = policy_.has_witness || policy_.promote_on_loss ||
                                fault_ == ProtectionFault::taken_over;
            if (strict && promoted_heard && !one.of_promoted) {
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
        // The standby may have heard that it was given up, and nobody here knows.
        const bool unsure = policy_.promote_on_loss && !policy_.has_witness &&
                            fault_ == ProtectionFault::given_up_cut;
        const bool unlucky = policy_.promote_on_loss && fault_ == ProtectionFault::agent_dies &&
                             !standby.was_protected();
        // Who cannot reach the witness, nor its standby, stands still, and its operator is told.
        const bool linked = fault_ == ProtectionFault::none;
        if (policy_.has_witness && second_ != WitnessFault::none && !linked) return;
        if (!primary && !promoted && !nobody && !dead_unprotected && !stopped && !unlucky &&
            !unsure) {
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
