// SPDX-License-Identifier: LGPL-2.1-or-later
// Keys and buttons of a client: what is down when it goes, and what it does between two hosts.
#include "spice/server/inputs/inputs_channel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "spice/server/chardev/fake_char_device.h"

namespace segue::spice::server {
namespace {

namespace inputs = wire::inputs;
namespace common = wire::common;
using testing::ElementsAre;

struct FakeMachine final : InputSink {
    void scancode(std::uint8_t byte) override { codes.push_back(byte); }
    std::uint8_t leds() override { return 0; }
    void mouse_motion(int, int, int, std::uint32_t mask) override { buttons = mask; }
    void mouse_buttons(std::uint32_t mask) override { buttons = mask; }
    void tablet_position(int, int, std::uint32_t, std::uint8_t) override {}
    void tablet_wheel(int, std::uint32_t) override {}
    void tablet_buttons(std::uint32_t) override {}
    bool absolute_pointer() const override { return false; }
    MachineState machine() const override { return state; }
    Instant now() const override { return time; }

    std::vector<int> take() { return std::exchange(codes, {}); }

    std::vector<int> codes;
    std::uint32_t buttons = 0;
    MachineState state = MachineState::runs;
    Instant time{};
};

class InputsChannelTest : public testing::Test {
  protected:
    std::unique_ptr<InputsChannel> link(FakeMachine& machine, bool expects = false) {
        ChannelSetup setup;
        setup.key = {wire::ChannelType::inputs, 0};
        setup.expects_data = expects;
        auto made = std::make_unique<InputsChannel>(setup, output_, machine);
        made->start();
        return made;
    }
    static void key(InputsChannel& channel, std::uint32_t code) {
        if ((code & 0x80) != 0 || (code & 0x8000) != 0) {
            ASSERT_TRUE(channel.receive(from_client(inputs::KeyUp{code})));
        } else {
            ASSERT_TRUE(channel.receive(from_client(inputs::KeyDown{code})));
        }
    }
    // The client's part of a seamless move between two channels.
    void move(InputsChannel& from, InputsChannel& to) {
        from.migrate();
        ASSERT_TRUE(from.receive(from_client(common::MigrateFlushMark{})));
        const auto state = output_.take<common::MigrateData>();
        ASSERT_TRUE(state);
        ASSERT_TRUE(to.receive(from_client(*state)));
    }

    FakeOutput output_;
    FakeMachine here_, there_;
};

TEST_F(InputsChannelTest, WhatAClientHoldsDownIsLetGoOfWhenItLeaves) {
    auto channel = link(here_);
    key(*channel, 0x2a);  // Shift
    key(*channel, 0x1d);  // Ctrl, which is let go of
    key(*channel, 0x9d);
    key(*channel, 0x48e0);  // an extended key
    ASSERT_TRUE(channel->receive(from_client(inputs::KeyScancode{})));
    inputs::MousePress press;
    press.button = inputs::MouseButton::left;
    press.buttons = static_cast<inputs::MouseButtonMask>(1);
    ASSERT_TRUE(channel->receive(from_client(press)));
    EXPECT_EQ(here_.buttons, 1u);
    here_.take();
    channel.reset();
    EXPECT_THAT(here_.take(), ElementsAre(0xaa, 0xe0, 0xc8));
    EXPECT_EQ(here_.buttons, 0u);
}

TEST_F(InputsChannelTest, TheLettersOfTheMomentBetweenTwoHostsArriveInOrder) {
    auto source = link(here_);
    there_.state = MachineState::stands;
    auto target = link(there_, true);
    key(*source, 0x1e);
    here_.take();
    here_.state = MachineState::leaves;
    key(*source, 0x9e);
    key(*source, 0x30);
    EXPECT_TRUE(here_.take().empty()) << "QEMU would drop it";
    source->migrate();
    key(*source, 0xb0);  // before the client has read MIGRATE
    ASSERT_TRUE(source->receive(from_client(common::MigrateFlushMark{})));
    const auto state = output_.take<common::MigrateData>();
    ASSERT_TRUE(state);
    ASSERT_TRUE(target->receive(from_client(*state)));
    key(*target, 0x2e);  // on the new connection already
    EXPECT_TRUE(there_.take().empty());
    there_.state = MachineState::runs;
    target->machine_runs();
    EXPECT_THAT(there_.take(), ElementsAre(0x9e, 0x30, 0xb0, 0x2e));
    key(*target, 0xae);
    EXPECT_THAT(there_.take(), ElementsAre(0xae));
}

TEST_F(InputsChannelTest, AMoveThatFailsLosesNoLetterEither) {
    auto channel = link(here_);
    here_.state = MachineState::leaves;
    key(*channel, 0x1e);
    here_.state = MachineState::runs;
    channel->machine_runs();
    EXPECT_THAT(here_.take(), ElementsAre(0x1e));
}

TEST_F(InputsChannelTest, WhatWasTypedAtAStillPictureLongAgoIsForgotten) {
    auto channel = link(here_);
    here_.state = MachineState::leaves;
    for (int count = 0; count < 1000; ++count)
        key(*channel, 0x1e);
    here_.time = here_.time + InputsChannel::kKeepFor + 1s;
    here_.state = MachineState::runs;
    channel->machine_runs();
    EXPECT_TRUE(here_.take().empty());
    here_.state = MachineState::leaves;
    for (int count = 0; count < 1000; ++count)
        key(*channel, 0x1e);
    here_.state = MachineState::runs;
    channel->machine_runs();
    EXPECT_EQ(here_.take().size(), InputsChannel::kMostKept);
}

TEST_F(InputsChannelTest, APausedMachineForgetsAsQemuDoes) {
    auto channel = link(here_);
    here_.state = MachineState::stands;
    key(*channel, 0x1e);
    EXPECT_THAT(here_.take(), ElementsAre(0x1e)) << "QEMU decides";
}

TEST_F(InputsChannelTest, AMachineThatIsPausedBehindItsArrivalForgetsToo) {
    auto channel = link(there_, true);
    key(*channel, 0x1e);
    there_.state = MachineState::stands;
    key(*channel, 0x9e);
    EXPECT_THAT(there_.take(), ElementsAre(0x1e, 0x9e)) << "QEMU decides";
}

// Nothing was kept: the state is what stock's servers write and read, byte for byte.
TEST_F(InputsChannelTest, TheStateOfAQuietClientIsStocks) {
    auto source = link(here_);
    inputs::MouseMotion motion;
    for (int count = 0; count < 3; ++count)
        ASSERT_TRUE(source->receive(from_client(motion)));
    source->migrate();
    ASSERT_TRUE(source->receive(from_client(common::MigrateFlushMark{})));
    const auto state = output_.take<common::MigrateData>();
    ASSERT_TRUE(state);
    const Bytes golden = {'I', 'C', 'M', 'D', 1, 0, 0, 0, 3, 0};
    EXPECT_EQ(Bytes(state->data.contiguous().view().begin(), state->data.contiguous().view().end()),
              golden);
}

TEST_F(InputsChannelTest, AStateThatIsCutOffAnywhereIsAnErrorOrStocks) {
    auto source = link(here_);
    here_.state = MachineState::leaves;
    key(*source, 0x1e);
    source->migrate();
    ASSERT_TRUE(source->receive(from_client(common::MigrateFlushMark{})));
    const auto state = output_.take<common::MigrateData>();
    ASSERT_TRUE(state);
    const Bytes whole(state->data.contiguous().view().begin(),
                      state->data.contiguous().view().end());
    for (std::size_t size = 0; size < whole.size(); ++size) {
        auto target = link(there_, true);
        common::MigrateData cut;
        cut.data.append(wire::SharedBytes::copy(ByteView(whole).first(size)));
        EXPECT_EQ(static_cast<bool>(target->receive(from_client(cut))), size == 10) << size;
    }
}

}  // namespace
}  // namespace segue::spice::server
