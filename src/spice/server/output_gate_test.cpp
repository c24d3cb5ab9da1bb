// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/output_gate.h"

#include <gmock/gmock.h>

#include "spice/server/channel.h"
#include "spice/server/fake_client.h"
#include "spice/wire/display.schema.h"
#include "spice/wire/main.schema.h"

namespace segue::spice::server {
namespace {

using control::ScreenWord;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Kind = ScreenWord::Kind;

constexpr std::uint16_t kMark = 102, kReset = 103, kPing = 4;

class TestClock final : public Clock {
  public:
    Instant now() const override { return {now_}; }
    std::chrono::system_clock::time_point wall() const override { return {}; }
    Instant later() {
        now_ += 1ms;
        return {now_};
    }

  private:
    Duration now_ = 1s;
};

class Output final : public ChannelOutput {
  public:
    void write(std::vector<wire::SharedBytes> pieces) override {
        for (const wire::SharedBytes& piece : pieces)
            reader_.feed(piece.view());
        while (auto message = reader_.next().value()) {
            numbers_.push_back(message->number);
            last_ = std::move(message->body);
        }
    }
    std::size_t waiting() const override { return 0; }
    std::vector<std::uint16_t> take() { return std::exchange(numbers_, {}); }
    const wire::SharedBytes& last() const { return last_; }

  private:
    wire::MessageReader reader_{wire::HeaderKind::mini, 64u << 20};
    std::vector<std::uint16_t> numbers_;
    wire::SharedBytes last_;
};

class TestChannel final : public Channel {
  public:
    using Channel::Channel, Channel::send, Channel::can_send, Channel::at_gate;
    void on_room() override { ++rooms; }
    int rooms = 0;

  private:
    Result<> handle(std::uint16_t, const wire::SharedBytes&) override { return {}; }
};

struct OutputGateTest : ::testing::Test {
    TestClock clock;
    std::shared_ptr<OutputGate> gate = std::make_shared<OutputGate>(clock);
    Output output;
    std::unique_ptr<TestChannel> channel;

    void SetUp() override {
        ChannelSetup setup;
        setup.key = {wire::ChannelType::display, 0};
        setup.gate = gate;
        channel = std::make_unique<TestChannel>(setup, output);
    }
    control::ScreenAnswer tell(Kind kind, Instant until = {}) {
        const auto answer = gate->obey({kind, until, false});
        channel->leave_gate();
        return answer;
    }
    void mark() { channel->send(wire::display::Mark{}); }
    void reset() { channel->send(wire::display::Reset{}); }
};

TEST_F(OutputGateTest, NothingWaitsBeforeItHolds) {
    mark();
    EXPECT_THAT(output.take(), ElementsAre(kMark));
}

TEST_F(OutputGateTest, WhatWasSentUpToACheckpointLeavesWithIt) {
    EXPECT_TRUE(tell(Kind::hold).holds);
    mark();
    const Instant first = clock.later();
    clock.later();
    reset();
    const Instant second = clock.later();
    EXPECT_THAT(output.take(), IsEmpty());
    EXPECT_EQ(tell(Kind::release, first).waiting, 2u);
    EXPECT_THAT(output.take(), ElementsAre(kMark));
    // Of a checkpoint that was committed before, and is told late.
    tell(Kind::release, first);
    EXPECT_THAT(output.take(), IsEmpty());
    tell(Kind::release, second);
    EXPECT_THAT(output.take(), ElementsAre(kReset));
    EXPECT_EQ(tell(Kind::release, second).waiting, 0u);
}

TEST_F(OutputGateTest, WhatWaitsIsAsItWasWhenItWasSent) {
    tell(Kind::hold);
    Bytes borrowed(100, 0x11);
    wire::display::StreamData message;
    message.data = wire::SharedBytes::borrow(borrowed);
    channel->send(message);
    std::fill(borrowed.begin(), borrowed.end(), std::uint8_t{0x22});
    tell(Kind::pass);
    const auto left = wire::parse<wire::display::StreamData>(output.last());
    ASSERT_TRUE(left);
    EXPECT_THAT(left->data.contiguous().view(), ::testing::Each(0x11));
}

TEST_F(OutputGateTest, EverythingLeavesInItsOrderWhenNothingIsHeldAnyMore) {
    tell(Kind::hold);
    mark();
    clock.later();
    reset();
    EXPECT_FALSE(tell(Kind::pass).holds);
    EXPECT_THAT(output.take(), ElementsAre(kMark, kReset));
    mark();
    EXPECT_THAT(output.take(), ElementsAre(kMark));
}

// What a worker sends behind the stop was drawn before it, and belongs to the checkpoint.
TEST_F(OutputGateTest, AMachineThatStandsStillHasMadeItBefore) {
    tell(Kind::hold);
    clock.later();
    gate->machine_stands_still();
    const Instant checkpoint = clock.later();
    clock.later();
    mark();
    tell(Kind::release, checkpoint);
    EXPECT_THAT(output.take(), ElementsAre(kMark));
    // A machine that is paused in its checkpoint is seen whole: there will be none behind it.
    clock.later();
    reset();
    EXPECT_THAT(output.take(), ElementsAre(kReset));
    gate->machine_runs();
    mark();
    EXPECT_THAT(output.take(), IsEmpty());
}

TEST_F(OutputGateTest, ASecondProtectionCountsNothingOfTheFirst) {
    tell(Kind::hold);
    mark();
    const Instant checkpoint = clock.later();
    tell(Kind::release, checkpoint);
    tell(Kind::pass);
    output.take();
    gate->machine_stands_still();
    gate->machine_runs();
    tell(Kind::hold);
    tell(Kind::release, checkpoint);
    clock.later();
    mark();
    EXPECT_THAT(output.take(), IsEmpty());
}

// Pings measure the line; but one overtakes nothing that waits.
TEST_F(OutputGateTest, WhatTellsNothingOfTheGuestKeepsItsPlace) {
    tell(Kind::hold);
    channel->send(wire::common::Ping{});
    EXPECT_THAT(output.take(), ElementsAre(kPing));
    mark();
    channel->send(wire::common::Ping{});
    EXPECT_THAT(output.take(), IsEmpty());
    tell(Kind::pass);
    EXPECT_THAT(output.take(), ElementsAre(kMark, kPing));
}

// What is newer waits where it is made, and there the newest counts.
TEST_F(OutputGateTest, WhatWaitsHasALimit) {
    tell(Kind::hold);
    std::size_t sent = 0;
    for (; channel->can_send() && sent < 1'000'000; ++sent)
        mark();
    EXPECT_FALSE(channel->can_send());
    EXPECT_GE(channel->at_gate(), Channel::kMostAtGate);
    EXPECT_LT(channel->at_gate(), Channel::kMostAtGate + 1024);
    const int rooms = channel->rooms;
    tell(Kind::pass);
    EXPECT_EQ(output.take().size(), sent);
    EXPECT_EQ(channel->at_gate(), 0u);
    EXPECT_EQ(channel->rooms, rooms + 1);
}

TEST_F(OutputGateTest, WhoGoesLetsNothingWait) {
    tell(Kind::hold);
    mark();
    EXPECT_EQ(tell(Kind::hold).waiting, 1u);
    channel.reset();
    EXPECT_EQ(gate->obey({Kind::hold, {}, false}).waiting, 0u);
}

// --- Only what the guest's devices say ----------------------------------------------------------

struct PicturePasses : OutputGateTest {
    std::unique_ptr<TestChannel> channel_of(wire::ChannelType type) {
        ChannelSetup setup;
        setup.key = {type, 0};
        setup.gate = gate;
        return std::make_unique<TestChannel>(setup, output);
    }
};

TEST_F(PicturePasses, DisplayPointerAndSoundWaitForNothing) {
    EXPECT_TRUE(gate->obey({Kind::hold, {}, true}).holds);
    using wire::ChannelType;
    for (const ChannelType type : {ChannelType::display, ChannelType::inputs, ChannelType::cursor,
                                   ChannelType::playback, ChannelType::record}) {
        channel = channel_of(type);
        mark();
        EXPECT_THAT(output.take(), ElementsAre(kMark)) << name_of(channel->key());
    }
}

TEST_F(PicturePasses, WhatCannotBeTakenBackWaits) {
    gate->obey({Kind::hold, {}, true});
    using wire::ChannelType;
    // And whatever may be thought of later.
    for (const ChannelType type : {ChannelType::smartcard, ChannelType::usbredir, ChannelType::port,
                                   ChannelType::webdav, ChannelType{99}}) {
        channel = channel_of(type);
        mark();
        const Instant checkpoint = clock.later();
        EXPECT_THAT(output.take(), IsEmpty()) << name_of(channel->key());
        EXPECT_EQ(tell(Kind::release, checkpoint).waiting, 1u);
        EXPECT_THAT(output.take(), ElementsAre(kMark)) << name_of(channel->key());
        clock.later();
    }
}

// The next protection may ask for more, and for less.
TEST_F(PicturePasses, EachProtectionSaysWhatWaits) {
    gate->obey({Kind::hold, {}, true});
    tell(Kind::hold);
    mark();
    EXPECT_THAT(output.take(), IsEmpty());
    gate->obey({Kind::hold, {}, true});
    channel->leave_gate();
    EXPECT_THAT(output.take(), ElementsAre(kMark));
}

}  // namespace
}  // namespace segue::spice::server
