// SPDX-License-Identifier: LGPL-2.1-or-later
// Thousands of seeded runs of both tables with the gate between them: messages are late, the link
// breaks, the primary dies at any step. Whatever happens: what outside has seen counts by one,
// through the promotion too, and never holds a frame that the promoted guest does not know.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>

#include "base/random.h"
#include "protect/colo_machine.h"
#include "protect/frame_gate.h"

namespace segue::colo {
namespace {

// A guest counts; each number leaves as one frame.
struct Guest {
    std::uint32_t count = 0;
    bool runs = true;
};

class Session {
  public:
    explicit Session(std::uint64_t seed) : random_(seed) {}

    void go() {
        primary_tell(Event::connected);
        const std::uint64_t dies_at = 20 + random_.below(400);
        for (std::uint64_t step = 0; step < dies_at; ++step)
            primary_step();
        // kill -9: what it sent may still be on its way, or lost with the link.
        for (std::uint64_t late = random_.below(4); late > 0 && !to_standby_.empty(); --late)
            standby_takes();
        while (secondary_.state() == Secondary::committing)
            standby_tell(Event::committed);
        if (secondary_.ask(Event::link_lost).row != nullptr) standby_tell(Event::link_lost);
        if (secondary_.state() != Secondary::lost) return;  // it was never protected
        ASSERT_TRUE(secondary_.tell(Event::promote).has_value());
        gate_.discard();
        outside(gate_.pass());
        guest_ = {committed_, true};
        for (int tick = 0; tick < 5; ++tick)
            guest_ticks();
        ASSERT_GE(seen_.size(), committed_);
        for (std::size_t at = 0; at < seen_.size(); ++at)
            ASSERT_EQ(seen_[at], at + 1) << "committed " << committed_;
        promoted = true;
    }

    bool promoted = false;

  private:
    void primary_step() {
        switch (random_.below(6)) {
            case 0: primary_tell(Event::checkpoint_due); break;
            case 1: primary_own_work(); break;
            case 2:
                if (!to_standby_.empty()) standby_takes();
                break;
            case 3:
                if (!to_primary_.empty()) {
                    primary_tell(to_primary_.front());
                    to_primary_.pop_front();
                }
                break;
            case 4:
                if (secondary_.state() == Secondary::committing ||
                    secondary_.state() == Secondary::committing_first) {
                    standby_tell(Event::committed);
                }
                break;
            default: guest_ticks();
        }
    }

    void guest_ticks() {
        if (!guest_.runs) return;
        const std::string number = std::to_string(++guest_.count);
        outside(gate_.sent({framed(as_bytes(number)), 1}));
    }

    void outside(const FrameGate::Frames& frames) {
        BigReader in(frames.bytes);
        while (in.remaining() > 0)
            seen_.push_back(std::stoul(std::string(as_text(in.bytes(in.u32())))));
    }

    // What the primary's QEMU does by itself in a state.
    void primary_own_work() {
        switch (primary_.state()) {
            case Primary::synchronising:
                guest_.runs = false;
                state_ = guest_.count;
                to_standby_ = {Event::head_read, Event::first_state_whole};
                primary_tell(Event::first_state_whole);
                break;
            case Primary::suspending: primary_tell(Event::suspended); break;
            case Primary::sending: primary_tell(Event::state_whole); break;
            case Primary::resuming: primary_tell(Event::resumed); break;
            default: break;
        }
    }

    void primary_tell(Event event) {
        const auto actions = primary_.tell(event);
        if (!actions) return;  // "not now": a timer that came early
        for (const Action action : *actions) {
            switch (action) {
                case Action::send_request: to_standby_.push_back(Event::message_request); break;
                case Action::suspend_vm:
                    guest_.runs = false;
                    state_ = guest_.count;
                    break;
                case Action::send_state:
                    to_standby_.insert(to_standby_.end(), {Event::message_send, Event::message_size,
                                                           Event::state_whole});
                    break;
                case Action::resume_vm: guest_.runs = true; break;
                default: break;
            }
        }
    }

    void standby_takes() {
        const Event event = to_standby_.front();
        to_standby_.pop_front();
        if (event == Event::head_read) standby_tell(Event::connected);
        standby_tell(event);
    }

    void standby_tell(Event event) {
        const auto actions = secondary_.tell(event);
        ASSERT_TRUE(actions.has_value()) << actions.error().message;
        for (const Action action : *actions) {
            switch (action) {
                case Action::pass_output: outside(gate_.pass()); break;
                case Action::hold_output:
                    committed_ = state_;
                    epoch_ = 1;
                    gate_.hold();
                    break;
                case Action::commit:
                    if (secondary_.state() == Secondary::committing) gate_.seal(epoch_ + 1);
                    staged_ = state_;
                    break;
                case Action::send_ready: to_primary_.push_back(Event::message_ready); break;
                case Action::send_reply: to_primary_.push_back(Event::message_reply); break;
                case Action::send_received: to_primary_.push_back(Event::message_received); break;
                case Action::send_loaded: to_primary_.push_back(Event::message_loaded); break;
                case Action::release_output:
                    committed_ = staged_;
                    outside(gate_.release(++epoch_));
                    break;
                default: break;
            }
        }
    }

    SeededRandom random_;
    Machine<Primary> primary_{Primary::unprotected, Mode::periodic};
    Machine<Secondary> secondary_{Secondary::idle, Mode::periodic};
    FrameGate gate_;
    Guest guest_;
    std::deque<Event> to_standby_, to_primary_;
    std::uint32_t state_ = 0, staged_ = 0, committed_ = 0;
    std::uint64_t epoch_ = 0;
    std::vector<std::size_t> seen_;
};

TEST(ProtectionSimulation, NoReleasedFrameIsLostOrRepeatedByAPromotion) {
    int promotions = 0;
    for (std::uint64_t seed = 1; seed <= 5000; ++seed) {
        Session session(seed);
        session.go();
        ASSERT_FALSE(testing::Test::HasFailure()) << "seed " << seed;
        promotions += session.promoted ? 1 : 0;
    }
    EXPECT_GT(promotions, 2500);
}

}  // namespace
}  // namespace segue::colo
