// SPDX-License-Identifier: LGPL-2.1-or-later
// A captured session of a real primary through the agent; and the frames of its link.
#include "protect/agent_session.h"

#include <gmock/gmock.h>

#include "protect/agent_link.h"
#include "qemu/stream_test_support.h"

namespace segue {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Recorder : public AgentSession::Owner {
  public:
    void answer(ColoMessage message) override { note(std::string(name_of(message))); }
    void forward(ByteView stream) override {
        forwarded.insert(forwarded.end(), stream.begin(), stream.end());
    }
    bool freeze_input(bool waits) override {
        if (waits) note("freeze, and the next one waits");
        if (!waits && notes_freezes) note("freeze");
        return is_read;
    }
    void hold_output() override { note("hold"); }
    bool seal_output(std::uint64_t epoch) override {
        note(fmt::format("seal {}", epoch));
        return whole;
    }
    void release_output(std::uint64_t epoch) override { note(fmt::format("release {}", epoch)); }
    void tell_protected() override { note("protected"); }
    void tell_checkpoint(const AgentSession::CheckpointFacts& facts) override {
        note(fmt::format("checkpoint {}", facts.epoch));
    }
    void note(std::string text) { notes.push_back(std::move(text)); }
    std::vector<std::string> take() { return std::exchange(notes, {}); }
    std::vector<std::string> notes;
    Bytes forwarded;
    bool whole = true;
    bool is_read = true;
    bool notes_freezes = false;
};

struct Agent {
    Agent() : session(owner) {}
    Result<> take(ByteView bytes, std::size_t step = 1000) {
        for (std::size_t at = 0; at < bytes.size(); at += step)
            TRY(session.received(bytes.subspan(at, std::min(step, bytes.size() - at))));
        return {};
    }
    void protect() {
        ASSERT_TRUE(session.connected());
        ASSERT_TRUE(take(captured("microvm-first.bin"), 100000));
        ASSERT_TRUE(session.standby_said(ColoMessage::checkpoint_ready));
        owner.take();
    }
    Recorder owner;
    AgentSession session;
};

const std::vector<std::string> kAnswered = {"vmstate-received", "vmstate-loaded"};

TEST(AgentSession, TheFirstStateCountsWhenTheStandbyHasIt) {
    Agent agent;
    ASSERT_TRUE(agent.session.connected());
    EXPECT_FALSE(agent.session.connected());
    const Bytes first = captured("microvm-first.bin");
    ASSERT_TRUE(agent.take(first, 100000));
    EXPECT_THAT(agent.owner.take(), ElementsAre("seal 1"));
    EXPECT_EQ(agent.owner.forwarded, first);
    EXPECT_FALSE(agent.session.is_protected());
    ASSERT_TRUE(agent.session.standby_said(ColoMessage::checkpoint_ready));
    EXPECT_THAT(agent.owner.take(), ElementsAre("hold", "checkpoint-ready", "protected"));
    EXPECT_TRUE(agent.session.is_protected());
}

TEST(AgentSession, QemuIsAnsweredBeforeTheStandbyAndOutputLeavesAfterIt) {
    Agent agent;
    agent.protect();
    const Bytes checkpoint = captured("microvm-checkpoint-1.bin");
    ASSERT_TRUE(agent.take(checkpoint));
    EXPECT_THAT(agent.owner.take(), ElementsAre("checkpoint-reply", "seal 2", "vmstate-received",
                                                "vmstate-loaded", "checkpoint 2"));
    EXPECT_EQ(agent.session.committed_epoch(), 1U);
    ASSERT_TRUE(agent.session.standby_said(ColoMessage::checkpoint_reply));
    ASSERT_TRUE(agent.session.standby_said(ColoMessage::vmstate_received));
    ASSERT_TRUE(agent.session.standby_said(ColoMessage::vmstate_loaded));
    EXPECT_THAT(agent.owner.take(), ElementsAre("release 2"));
}

TEST(AgentSession, AThirdEpochInFlightWaits) {
    Agent agent;
    agent.protect();
    const Bytes checkpoint = captured("microvm-checkpoint-1.bin");
    ASSERT_TRUE(agent.take(checkpoint));
    ASSERT_TRUE(agent.take(checkpoint));
    EXPECT_FALSE(agent.session.is_waiting());
    ASSERT_TRUE(agent.take(checkpoint));
    EXPECT_TRUE(agent.session.is_waiting());
    agent.owner.take();
    ASSERT_TRUE(agent.session.standby_said(ColoMessage::vmstate_received));
    EXPECT_THAT(agent.owner.take(),
                ElementsAre("release 2", "vmstate-received", "vmstate-loaded", "checkpoint 4"));
}

TEST(AgentSession, ALostStandbyNeverStopsAGuestThatMayGoOn) {
    Agent agent;
    agent.protect();
    const Bytes checkpoint = captured("microvm-checkpoint-1.bin");
    for (int count = 0; count < 3; ++count)
        ASSERT_TRUE(agent.take(checkpoint));
    ASSERT_TRUE(agent.session.is_waiting());
    agent.owner.take();
    agent.session.standby_lost(true);
    EXPECT_THAT(agent.owner.take(),
                ElementsAre("vmstate-received", "vmstate-loaded", "checkpoint 4"));
    agent.owner.forwarded.clear();
    ASSERT_TRUE(agent.take(checkpoint));
    EXPECT_THAT(agent.owner.take(), Contains("vmstate-loaded"));
    EXPECT_TRUE(agent.owner.forwarded.empty());
    EXPECT_FALSE(agent.session.is_protected());
}

// QEMU's copy of a disk has ended: the standby must not commit a memory that knows more than its
// disk does.
TEST(AgentSession, AnEpochThatIsNotSealedIsNeverWholeAnywhere) {
    Agent agent;
    agent.protect();
    const Bytes checkpoint = captured("microvm-checkpoint-1.bin");
    agent.owner.forwarded.clear();
    agent.owner.whole = false;
    ASSERT_TRUE(agent.take(checkpoint));
    EXPECT_THAT(agent.owner.take(), ElementsAre("checkpoint-reply", "seal 2"));
    EXPECT_LT(agent.owner.forwarded.size(), checkpoint.size());
    EXPECT_TRUE(agent.session.is_withheld());
    EXPECT_TRUE(agent.session.is_waiting());
    // Nothing later is forwarded either, and the guest goes on alone when somebody has decided so.
    agent.owner.forwarded.clear();
    agent.owner.whole = true;
    agent.session.standby_lost(true);
    EXPECT_THAT(agent.owner.take(),
                ElementsAre("vmstate-received", "vmstate-loaded", "checkpoint 2"));
    ASSERT_TRUE(agent.take(checkpoint));
    EXPECT_TRUE(agent.owner.forwarded.empty());
}

TEST(AgentSession, AFirstStateThatIsNotSealedIsNotWholeEither) {
    Agent agent;
    ASSERT_TRUE(agent.session.connected());
    agent.owner.whole = false;
    const Bytes first = captured("microvm-first.bin");
    ASSERT_TRUE(agent.take(first, 100000));
    EXPECT_LT(agent.owner.forwarded.size(), first.size());
    // A word that cannot be meant.
    ASSERT_TRUE(agent.session.standby_said(ColoMessage::checkpoint_ready));
    EXPECT_FALSE(agent.session.is_protected());
}

TEST(AgentSession, ALostStandbyThatWinsIsNotAnswered) {
    Agent agent;
    agent.protect();
    agent.session.standby_lost(false);
    ASSERT_TRUE(agent.take(captured("microvm-checkpoint-1.bin")));
    EXPECT_THAT(agent.owner.take(), ::testing::Not(Contains("vmstate-loaded")));
}

TEST(AgentSession, AFrozenGuestIsStillWhenTheStandbyHasEverything) {
    Agent agent;
    agent.protect();
    agent.session.freeze();
    EXPECT_FALSE(agent.session.is_still());
    ASSERT_TRUE(agent.take(captured("microvm-checkpoint-1.bin")));
    EXPECT_FALSE(agent.session.is_still());
    ASSERT_TRUE(agent.session.standby_said(ColoMessage::vmstate_received));
    EXPECT_TRUE(agent.session.is_still());
    agent.owner.take();
    agent.session.thaw();
    EXPECT_THAT(agent.owner.take(),
                ElementsAre("vmstate-received", "vmstate-loaded", "checkpoint 2"));
}

TEST(AgentSession, AFrozenGuestStaysStillWhenTheStandbyIsLost) {
    Agent agent;
    agent.protect();
    agent.session.freeze();
    ASSERT_TRUE(agent.take(captured("microvm-checkpoint-1.bin")));
    agent.owner.take();
    agent.session.standby_lost(true);
    EXPECT_TRUE(agent.owner.take().empty());
    agent.session.thaw();
    EXPECT_THAT(agent.owner.take(), Contains("vmstate-loaded"));
}

// A checkpoint would end a QEMU whose guest has panicked, and let a guest run that QEMU has
// stopped.
TEST(AgentSession, NoCheckpointBeginsOnceItIsHeld) {
    Agent agent;
    agent.protect();
    const Bytes checkpoint = captured("microvm-checkpoint-1.bin");
    agent.session.hold();
    ASSERT_TRUE(agent.take(ByteView(checkpoint).first(4)));
    EXPECT_TRUE(agent.owner.take().empty());
    // Also when nobody stands by any more.
    agent.session.standby_lost(true);
    EXPECT_TRUE(agent.owner.take().empty());
}

TEST(AgentSession, WhatWasHeldIsAnsweredWhenItIsLetGo) {
    Agent agent;
    agent.protect();
    const Bytes checkpoint = captured("microvm-checkpoint-1.bin");
    agent.session.hold();
    EXPECT_FALSE(agent.session.owes_reply());
    ASSERT_TRUE(agent.take(ByteView(checkpoint).first(4)));
    EXPECT_TRUE(agent.session.owes_reply());
    agent.session.unhold();
    EXPECT_FALSE(agent.session.owes_reply());
    EXPECT_THAT(agent.owner.take(), ElementsAre("checkpoint-reply"));
    ASSERT_TRUE(agent.take(ByteView(checkpoint).subspan(4)));
    EXPECT_THAT(agent.owner.take(), Contains("checkpoint 2"));
    // Nothing was held: nothing is answered twice.
    agent.session.hold();
    agent.session.unhold();
    EXPECT_TRUE(agent.owner.take().empty());
}

// Hybrid mode: QEMU's guest runs on while its request waits.
TEST(AgentSession, ARequestWaitsUntilTheStandbyAsks) {
    using Answers = AgentSession::Answers;
    Agent agent;
    agent.protect();
    const Bytes checkpoint = captured("microvm-checkpoint-1.bin");
    const Bytes request(checkpoint.begin(), checkpoint.begin() + 4);
    agent.session.answer_requests(Answers::one);
    ASSERT_TRUE(agent.take(checkpoint));
    EXPECT_THAT(agent.owner.take(), Contains("freeze, and the next one waits"));
    ASSERT_TRUE(agent.take(request));
    EXPECT_TRUE(agent.owner.take().empty());
    EXPECT_TRUE(agent.session.owes_reply());
    EXPECT_FALSE(agent.session.is_paced());
    // QEMU has not read what came before.
    agent.owner.is_read = false;
    agent.session.answer_requests(Answers::one);
    EXPECT_THAT(agent.owner.take(), ElementsAre("freeze, and the next one waits"));
    agent.owner.is_read = true;
    agent.session.input_read();
    EXPECT_THAT(agent.owner.take(),
                ElementsAre("freeze, and the next one waits", "checkpoint-reply"));
    ASSERT_TRUE(agent.take(ByteView(checkpoint).subspan(4)));
    agent.session.answer_requests(Answers::every);
    agent.owner.notes_freezes = true;
    ASSERT_TRUE(agent.take(request));
    EXPECT_THAT(agent.owner.take(), Contains("freeze"));
}

TEST(AgentSession, ARequestThatWaitsIsAnsweredWhenNobodyWillAsk) {
    for (const bool freezes : {false, true}) {
        Agent agent;
        agent.protect();
        const Bytes checkpoint = captured("microvm-checkpoint-1.bin");
        agent.session.answer_requests(AgentSession::Answers::none);
        ASSERT_TRUE(agent.take(ByteView(checkpoint).first(4)));
        EXPECT_TRUE(agent.owner.take().empty());
        freezes ? agent.session.freeze() : agent.session.standby_lost(true);
        EXPECT_THAT(agent.owner.take(), ElementsAre("checkpoint-reply")) << freezes;
    }
}

TEST(AgentSession, WordsThatDoNotFitAreNamed) {
    Agent agent;
    agent.protect();
    const auto early = agent.session.standby_said(ColoMessage::vmstate_received);
    ASSERT_FALSE(early);
    EXPECT_THAT(early.error().message, HasSubstr("vmstate-received while awaiting-request"));
    EXPECT_FALSE(agent.session.standby_said(ColoMessage::checkpoint_ready));
    EXPECT_FALSE(agent.session.standby_said(ColoMessage::checkpoint_request));
}

// -- the link

Bytes every_agent_frame() {
    const Bytes data = {1, 2, 3};
    Bytes all;
    for (const Bytes& one :
         {AgentLink::hello(AgentKey{7}), AgentLink::stream(data), AgentLink::frames(3, data),
          AgentLink::write(1, 4096, data), AgentLink::zero(2, 8192, 512),
          AgentLink::tell(AgentLink::Kind::dead), AgentLink::tell(AgentLink::Kind::ends),
          AgentLink::tell(AgentLink::Kind::yields), AgentLink::tell(AgentLink::Kind::pauses),
          AgentLink::tell(AgentLink::Kind::resumes), AgentLink::input(3, 1ULL << 40, true),
          AgentLink::closing("a reason")})
        all.insert(all.end(), one.begin(), one.end());
    return all;
}

TEST(AgentLink, EveryFrameArrivesAtEverySplit) {
    const Bytes all = every_agent_frame();
    for (std::size_t step = 1; step <= all.size(); ++step) {
        AgentLink link(AgentLink::End::standby);
        AgentLink::Message message;
        std::vector<int> kinds;
        std::size_t used = 0;
        for (std::size_t end = step; end < all.size() + step; end += step) {
            const ByteView view = ByteView(all).first(std::min(end, all.size()));
            for (std::size_t now = 1; now != 0; used += now) {
                const auto taken = link.next(view.subspan(used), message);
                ASSERT_TRUE(taken) << taken.error().message;
                now = *taken;
                if (now != 0) kinds.push_back(static_cast<int>(message.kind));
                if (now != 0 && message.kind == AgentLink::Kind::write) {
                    EXPECT_EQ(message.device, 1U);
                    EXPECT_EQ(message.offset, 4096U);
                    EXPECT_EQ(message.length, 3U);
                }
                if (now != 0 && message.kind == AgentLink::Kind::input) {
                    EXPECT_EQ(message.device, 3U);
                    EXPECT_EQ(message.length, 1ULL << 40);
                    EXPECT_TRUE(message.waits);
                }
            }
        }
        EXPECT_THAT(kinds, ElementsAre(1, 3, 4, 5, 6, 7, 8, 13, 14, 15, 19, 12));
    }
}

TEST(AgentLink, ADeviceBeyondTheLimitIsRefused) {
    const auto limit = protect::agent::kDisksMax;
    for (const Bytes& last : {AgentLink::write(limit, 0, {}), AgentLink::zero(limit, 0, 1),
                              AgentLink::frames(protect::agent::kCardsMax, {})}) {
        AgentLink link(AgentLink::End::standby);
        AgentLink::Message message;
        ASSERT_TRUE(link.next(AgentLink::hello(AgentKey{7}), message));
        const auto taken = link.next(last, message);
        ASSERT_FALSE(taken);
        EXPECT_THAT(taken.error().message, HasSubstr("(a VM has at most 16)"));
    }
}

TEST(AgentLink, WhatDoesNotFitIsRefused) {
    const auto refusal = [](AgentLink::End own, const Bytes& bytes) {
        AgentLink link(own);
        AgentLink::Message message;
        const auto taken = link.next(bytes, message);
        return taken ? std::string() : taken.error().message;
    };
    EXPECT_THAT(refusal(AgentLink::End::standby, AgentLink::stream(Bytes{1})),
                HasSubstr("'stream' came before the greeting"));
    EXPECT_THAT(refusal(AgentLink::End::agent, AgentLink::hello({})), HasSubstr("wrong end"));
    EXPECT_THAT(refusal(AgentLink::End::standby, Bytes{0xff, 0, 0, 0}), HasSubstr("frame of"));
    Bytes hello = AgentLink::hello({});
    hello[11] = 9;
    EXPECT_THAT(refusal(AgentLink::End::standby, hello), HasSubstr("version 9"));
    Bytes longer = AgentLink::tell(AgentLink::Kind::welcome);
    longer[3] = 5;
    longer.push_back(0);
    EXPECT_THAT(refusal(AgentLink::End::agent, longer), HasSubstr("'welcome' of 1 bytes"));
}

TEST(AgentLink, OnlyTheStandbyIsGivenUp) {
    const auto last_of = [](AgentLink::End own, const Bytes& greeting) {
        Bytes all = greeting;
        const Bytes word = AgentLink::tell(AgentLink::Kind::given_up);
        all.insert(all.end(), word.begin(), word.end());
        AgentLink link(own);
        AgentLink::Message message;
        const std::size_t used = link.next(all, message).value();
        const auto taken = link.next(ByteView(all).subspan(used), message);
        return taken ? std::string(protect::agent::name_of(message.kind)) : taken.error().message;
    };
    EXPECT_EQ(last_of(AgentLink::End::agent, AgentLink::tell(AgentLink::Kind::welcome)),
              "given_up");
    EXPECT_THAT(last_of(AgentLink::End::standby, AgentLink::hello(AgentKey{7})),
                HasSubstr("wrong end"));
}

TEST(AgentLink, AReasonForClosingComesAtAnyMomentAndIsFitForALog) {
    AgentLink link(AgentLink::End::agent);
    AgentLink::Message message;
    const Bytes bytes = AgentLink::closing("no room\n[error] \x1b[31m" + std::string(1000, 'x'));
    ASSERT_EQ(link.next(bytes, message).value(), bytes.size());
    EXPECT_EQ(message.kind, AgentLink::Kind::closing);
    const std::string text = AgentLink::reason_of(message);
    EXPECT_THAT(text, ::testing::StartsWith("no room?[error] ?[31mxxx"));
    EXPECT_EQ(text.size(), protect::agent::kReasonMax);
    // It is no greeting.
    EXPECT_FALSE(link.next(AgentLink::tell(AgentLink::Kind::given_up), message));
    Bytes longer = bytes;
    longer.push_back('x');
    longer[3] += 1;
    EXPECT_THAT(link.next(longer, message).error().message, HasSubstr("(at most 512)"));
}

TEST(AgentLink, KeysAreHexadecimal) {
    const auto key = parse_agent_key("00112233445566778899aabbccddeeff");
    ASSERT_TRUE(key);
    EXPECT_EQ((*key)[15], 0xff);
    EXPECT_FALSE(parse_agent_key("00"));
    EXPECT_FALSE(parse_agent_key("00112233445566778899aabbccddeefg"));
}

}  // namespace
}  // namespace segue
