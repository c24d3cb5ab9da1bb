// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/vmc/vmc_channel.h"

#include <gtest/gtest.h>

#include "net/test_loop.h"
#include "spice/codec/lz4_codec.h"
#include "spice/server/chardev/fake_char_device.h"

namespace segue::spice::server {
namespace {

namespace vmc = wire::spicevmc;
using wire::ChannelType;
using wire::SharedBytes;

class VmcTest : public testing::Test {
  protected:
    std::unique_ptr<VmcDevice> make_device(ChannelType type) {
        auto made = std::make_unique<VmcDevice>(ChannelKey{type, 0},
                                                std::make_unique<FakeCharDevice>(guest_), *loop_);
        made->set_running(true);
        return made;
    }
    std::unique_ptr<VmcChannel> link(VmcDevice& device, FakeOutput& output, bool expects = false,
                                     bool compress = false) {
        ChannelSetup setup;
        setup.key = device.key();
        setup.expects_data = expects;
        auto made = std::make_unique<VmcChannel>(setup, output, device, compress);
        made->start();
        return made;
    }
    static Bytes data(const Bytes& bytes) {
        vmc::Data message;
        message.data = SharedBytes::copy(bytes);
        return from_client(message);
    }

    net::TestLoop loop_;
    FakeGuest guest_;
    FakeOutput output_;
};

TEST_F(VmcTest, BytesGoBothWaysAndTheGuestWaitsForASlowClient) {
    auto device = make_device(ChannelType::usbredir);
    guest_.says = numbered(10);
    device->wakeup();
    EXPECT_EQ(guest_.says.size(), 10u);  // nobody is there: nothing is lost
    auto channel = link(*device, output_);
    EXPECT_TRUE(guest_.connected);
    EXPECT_EQ(output_.take<vmc::Data>()->data.contiguous().size(), 10u);
    ASSERT_TRUE(channel->receive(data(numbered(5))));
    EXPECT_EQ(guest_.taken, numbered(5));
    output_.blocked = true;
    guest_.says = numbered(7);
    device->wakeup();
    EXPECT_EQ(guest_.says.size(), 7u);
    output_.blocked = false;
    const std::size_t reads = guest_.reads;
    channel->on_room();
    EXPECT_TRUE(guest_.says.empty());
    EXPECT_GE(guest_.reads, reads + 2);  // the empty read tells the device that we listen
    channel.reset();
    EXPECT_FALSE(guest_.connected);
}

TEST_F(VmcTest, AFastClientIsHeldUntilTheGuestHasRead) {
    auto device = make_device(ChannelType::usbredir);
    auto channel = link(*device, output_);
    guest_.takes = 0;
    ASSERT_TRUE(channel->receive(data(numbered(DevicePort::kHighMark + 5))));
    EXPECT_TRUE(output_.held_input);
    guest_.takes = SIZE_MAX;
    device->wakeup();
    EXPECT_FALSE(output_.held_input);
    EXPECT_EQ(guest_.taken, numbered(DevicePort::kHighMark + 5));
}

// Its connection is closed later where the client is still on its way here: its end must be seen.
TEST_F(VmcTest, ADeviceThatIsTakenAwayHoldsNobody) {
    auto device = make_device(ChannelType::usbredir);
    auto channel = link(*device, output_);
    guest_.takes = 0;
    ASSERT_TRUE(channel->receive(data(numbered(DevicePort::kHighMark + 5))));
    ASSERT_TRUE(output_.held_input);
    device.reset();
    EXPECT_FALSE(output_.held_input);
    EXPECT_TRUE(channel->receive(data(numbered(5)))) << "passed over";
}

TEST_F(VmcTest, CompressedBothWays) {
    auto device = make_device(ChannelType::usbredir);
    auto channel = link(*device, output_, false, true);
    const Bytes plain(5000, 'a');
    guest_.says = plain;
    device->wakeup();
    const auto packed = output_.take<vmc::CompressedData>();
    ASSERT_TRUE(packed);
    Bytes unpacked(packed->uncompressed_size);
    ASSERT_TRUE(codec::lz4_decode_block(packed->data.contiguous().view(), unpacked));
    EXPECT_EQ(unpacked, plain);
    ASSERT_TRUE(channel->receive(from_client(*packed)));
    EXPECT_EQ(guest_.taken, plain);
    vmc::CompressedData lying = *packed;
    lying.uncompressed_size = 4999;
    EXPECT_FALSE(channel->receive(from_client(lying)));
}

TEST_F(VmcTest, APortHasANameAndEvents) {
    guest_.port_name = "org.segue.test.0";
    auto device = make_device(ChannelType::port);
    device->port_event(static_cast<std::uint8_t>(wire::port::PortEvent::opened));
    auto channel = link(*device, output_);
    const auto init = output_.take<wire::port::Init>();
    ASSERT_TRUE(init);
    EXPECT_EQ(init->name, "org.segue.test.0");
    EXPECT_TRUE(init->opened);
    device->port_event(static_cast<std::uint8_t>(wire::port::PortEvent::closed));
    EXPECT_EQ(output_.take<wire::port::Event>()->event, wire::port::PortEvent::closed);
    wire::port::Event event;
    event.event = wire::port::PortEvent::break_;
    ASSERT_TRUE(channel->receive(from_client(event)));
    EXPECT_EQ(guest_.events, Bytes{2});
    ASSERT_TRUE(channel->receive(data(numbered(3))));
    EXPECT_EQ(guest_.taken, numbered(3));
}

TEST_F(VmcTest, AMoveInTheMiddleLosesNoByte) {
    auto source = make_device(ChannelType::usbredir);
    auto channel = link(*source, output_);
    guest_.takes = 3;
    ASSERT_TRUE(channel->receive(data(numbered(10))));
    source->set_running(false);
    channel->migrate();
    ASSERT_TRUE(output_.take<wire::common::Migrate>());
    // What was under way comes before the flush mark, and travels on.
    ASSERT_TRUE(channel->receive(data(numbered(10, 10))));
    ASSERT_TRUE(channel->receive(from_client(wire::common::MigrateFlushMark{})));
    const auto blob = output_.take<wire::common::MigrateData>();
    ASSERT_TRUE(blob);

    FakeOutput there;
    auto target = make_device(ChannelType::usbredir);
    guest_.takes = SIZE_MAX;
    guest_.says = numbered(4);
    auto moved = link(*target, there, true);
    target->wakeup();
    ASSERT_TRUE(there.messages.empty());
    ASSERT_TRUE(moved->receive(from_client(*blob)));
    ASSERT_TRUE(moved->receive(data(numbered(5, 20))));
    EXPECT_EQ(guest_.taken, numbered(25));
    EXPECT_EQ(there.take<vmc::Data>()->data.contiguous().size(), 4u);
}

TEST_F(VmcTest, ADeviceWhoseStateNeverComesGoesOn) {
    auto device = make_device(ChannelType::usbredir);
    guest_.says = numbered(4);
    auto channel = link(*device, output_, true);
    device->wakeup();
    ASSERT_TRUE(channel->receive(data(numbered(3))));
    EXPECT_TRUE(output_.messages.empty());
    EXPECT_TRUE(guest_.taken.empty());
    channel->stop_waiting();
    EXPECT_EQ(output_.take<vmc::Data>()->data.contiguous().size(), 4u);
    EXPECT_EQ(guest_.taken, numbered(3));

    // What comes now belongs before that.
    wire::migration::SpiceVmc state;
    state.device.connected = true;
    state.device.write_data = SharedBytes::copy(numbered(5, 50));
    wire::common::MigrateData late;
    late.data = SharedBytes::take(Bytes(wire::encode(0, state).body()));
    ASSERT_TRUE(channel->receive(from_client(late)));
    EXPECT_EQ(guest_.taken, numbered(3));
}

// What came beside it is as old as the stop: complete, where the client says nothing meanwhile.
TEST_F(VmcTest, WhatCameBesideAClientThatBringsNothing) {
    wire::migration::CharDevice state;
    state.connected = true;
    state.write_data = SharedBytes::copy(numbered(5, 50));
    auto device = make_device(ChannelType::usbredir);
    device->take_state(state);  // of nobody's: the device is closed
    auto channel = link(*device, output_, true);
    device->take_state(state);
    ASSERT_TRUE(channel->receive(data(numbered(3))));
    EXPECT_TRUE(guest_.taken.empty());
    channel->stop_waiting();
    Bytes expected = numbered(5, 50);
    const Bytes said = numbered(3);
    expected.insert(expected.end(), said.begin(), said.end());
    EXPECT_EQ(guest_.taken, expected);

    // The client's own is newer, and the other one of no use then.
    guest_.taken.clear();
    channel.reset();
    channel = link(*device, output_, true);
    device->take_state(state);
    wire::migration::SpiceVmc own;
    own.device.connected = true;
    own.device.write_data = SharedBytes::copy(numbered(7, 50));
    wire::common::MigrateData brought;
    brought.data = SharedBytes::take(Bytes(wire::encode(0, own).body()));
    ASSERT_TRUE(channel->receive(from_client(brought)));
    channel->stop_waiting();
    EXPECT_EQ(guest_.taken, numbered(7, 50));
}

TEST_F(VmcTest, ADeviceGoesUnderItsChannel) {
    auto device = make_device(ChannelType::usbredir);
    auto channel = link(*device, output_);
    guest_.on_write = [&] { device.reset(); };
    ASSERT_TRUE(channel->receive(data(numbered(3))));
    ASSERT_TRUE(channel->receive(data(numbered(3))));
    EXPECT_EQ(guest_.taken.size(), 3u);
    channel->migrate();
    ASSERT_TRUE(channel->receive(from_client(wire::common::MigrateFlushMark{})));
}

}  // namespace
}  // namespace segue::spice::server
