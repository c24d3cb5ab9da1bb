// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/smartcard/smartcard_channel.h"

#include <gtest/gtest.h>

#include "net/test_loop.h"
#include "spice/server/chardev/fake_char_device.h"

namespace segue::spice::server {
namespace {

using wire::SharedBytes;
using wire::smartcard::Data;
using wire::smartcard::VscType;

Bytes vsc(VscType type, std::uint32_t reader, const Bytes& data) {
    BigWriter writer;
    writer.u32(static_cast<std::uint32_t>(type));
    writer.u32(reader);
    writer.u32(static_cast<std::uint32_t>(data.size()));
    writer.bytes(data);
    return writer.take();
}
Bytes say(VscType type, std::uint32_t reader, const Bytes& data) {
    Data message;
    message.type = type;
    message.reader_id = reader;
    message.data = SharedBytes::copy(data);
    return from_client(message);
}

class SmartcardTest : public testing::Test {
  protected:
    SmartcardTest() { reader_ = make_reader(); }
    std::unique_ptr<SmartcardReader> make_reader() {
        auto made =
            std::make_unique<SmartcardReader>(3, std::make_unique<FakeCharDevice>(guest_), *loop_);
        made->set_running(true);
        return made;
    }
    std::unique_ptr<SmartcardChannel> link(FakeOutput& output, bool expects = false) {
        ChannelSetup setup;
        setup.key.type = wire::ChannelType::smartcard;
        setup.expects_data = expects;
        auto made = std::make_unique<SmartcardChannel>(setup, output, [this]() {
            return reader_ && !reader_->is_in_use() ? reader_.get() : nullptr;
        });
        made->start();
        return made;
    }

    net::TestLoop loop_;
    FakeGuest guest_;
    FakeOutput output_;
    std::unique_ptr<SmartcardReader> reader_;
};

TEST_F(SmartcardTest, CardAndGuestExchangeCommands) {
    auto channel = link(output_);
    EXPECT_TRUE(guest_.connected);
    ASSERT_TRUE(channel->receive(say(VscType::reader_add, 0xffffffff, numbered(4))));
    ASSERT_TRUE(channel->receive(say(VscType::atr, 3, numbered(9))));
    Bytes expected = vsc(VscType::reader_add, 3, {});
    const Bytes atr = vsc(VscType::atr, 3, numbered(9));
    expected.insert(expected.end(), atr.begin(), atr.end());
    EXPECT_EQ(guest_.taken, expected);
    // The device knows only itself; the client hears the number that it uses.
    const Bytes stream = vsc(VscType::apdu, 0, numbered(70));
    for (const std::uint8_t byte : stream) {
        guest_.says = {byte};
        reader_->wakeup();
    }
    const auto apdu = output_.take<Data>();
    ASSERT_TRUE(apdu);
    EXPECT_EQ(apdu->type, VscType::apdu);
    EXPECT_EQ(apdu->reader_id, 3u);
    EXPECT_EQ(apdu->data.contiguous().size(), 70u);
    guest_.taken.clear();
    channel.reset();
    EXPECT_EQ(guest_.taken, vsc(VscType::reader_remove, 3, {}));
    EXPECT_FALSE(guest_.connected);
}

TEST_F(SmartcardTest, WhatIsNotThereIsRefused) {
    auto channel = link(output_);
    FakeOutput second;
    auto other = link(second);
    ASSERT_TRUE(other->receive(say(VscType::reader_add, 0, {})));
    const auto none = second.take<Data>();
    ASSERT_TRUE(none);
    EXPECT_EQ(none->type, VscType::error);
    ASSERT_TRUE(channel->receive(say(VscType::reader_remove, 3, {})));
    EXPECT_EQ(output_.take<Data>()->type, VscType::error);
    EXPECT_FALSE(channel->receive(say(VscType::apdu, 2, {})));
    EXPECT_FALSE(other->receive(say(VscType::apdu, 3, {})));
}

TEST_F(SmartcardTest, ADeviceThatSaysNonsenseIsNotRead) {
    auto channel = link(output_);
    guest_.says = vsc(VscType::apdu, 0, {});
    guest_.says[8] = 0x7f;
    reader_->wakeup();
    guest_.says = vsc(VscType::apdu, 0, {});
    reader_->wakeup();
    EXPECT_TRUE(output_.messages.empty());
}

// It is not the device that said so.
TEST_F(SmartcardTest, AClientsForgedStateEndsWithTheClient) {
    for (const std::uint32_t promised : {0x7f000000u, 60000u}) {
        wire::migration::Smartcard forged;
        forged.device.connected = true;
        BigWriter header;
        header.u32(static_cast<std::uint32_t>(VscType::apdu));
        header.u32(0);
        header.u32(promised);
        forged.read_data = SharedBytes::take(header.take());
        wire::common::MigrateData data;
        data.data = SharedBytes::take(Bytes(wire::encode(0, forged).body()));
        FakeOutput hostile;
        auto channel = link(hostile, true);
        ASSERT_TRUE(channel->receive(from_client(data)));
        reader_->wakeup();
        channel.reset();
        auto next = link(output_);
        ASSERT_TRUE(next->receive(say(VscType::reader_add, 0, {})));
        guest_.says = vsc(VscType::apdu, 0, numbered(7));
        reader_->wakeup();
        bool heard = false;
        while (const auto message = output_.take<Data>())
            heard |= message->type == VscType::apdu && message->data.contiguous().size() == 7;
        EXPECT_TRUE(heard) << promised;
    }
}

// A client that goes in the middle of what the device says leaves no half of it to the next,
// whether a client brought that half or the device said it.
TEST_F(SmartcardTest, NoHalfOfAMessageIsLeftToTheNextClient) {
    const Bytes answer = vsc(VscType::apdu, 0, numbered(40));
    const Bytes half(answer.begin(), answer.begin() + 17);
    for (const bool is_brought : {false, true}) {
        FakeOutput first;
        auto channel = link(first, is_brought);
        if (is_brought) {
            wire::migration::Smartcard state;
            state.device.connected = true;
            state.read_data = SharedBytes::copy(half);
            wire::common::MigrateData data;
            data.data = SharedBytes::take(Bytes(wire::encode(0, state).body()));
            ASSERT_TRUE(channel->receive(from_client(data)));
        } else {
            guest_.says = half;
        }
        reader_->wakeup();
        ASSERT_TRUE(guest_.says.empty());
        channel.reset();
        // The rest QEMU throws away: the character device is closed.
        output_.messages.clear();
        auto next = link(output_);
        guest_.says = vsc(VscType::apdu, 0, numbered(7));
        reader_->wakeup();
        const auto heard = output_.take<Data>();
        ASSERT_TRUE(heard) << is_brought;
        EXPECT_EQ(heard->data.contiguous().size(), 7u);
    }
}

TEST_F(SmartcardTest, AnExchangeGoesOnBehindAMove) {
    auto channel = link(output_);
    ASSERT_TRUE(channel->receive(say(VscType::reader_add, 0, {})));
    guest_.taken.clear();
    guest_.takes = 5;
    ASSERT_TRUE(channel->receive(say(VscType::apdu, 3, numbered(30))));
    const Bytes answer = vsc(VscType::apdu, 0, numbered(40));
    guest_.says.assign(answer.begin(), answer.begin() + 17);
    reader_->wakeup();
    reader_->set_running(false);
    channel->migrate();
    ASSERT_TRUE(channel->receive(from_client(wire::common::MigrateFlushMark{})));
    const auto blob = output_.take<wire::common::MigrateData>();
    ASSERT_TRUE(blob);
    guest_.takes = 0;
    channel.reset();

    FakeOutput there;
    reader_ = make_reader();
    guest_.takes = SIZE_MAX;
    guest_.says.assign(answer.begin() + 17, answer.end());
    auto moved = link(there, true);
    ASSERT_TRUE(moved->receive(from_client(*blob)));
    EXPECT_EQ(guest_.taken, vsc(VscType::apdu, 3, numbered(30)));
    EXPECT_EQ(there.take<Data>()->data.contiguous().size(), 40u);
    EXPECT_TRUE(reader_->is_added());
}

// A machine that left in the middle of what a card was told, and of what its guest said.
class SmartcardMoves : public SmartcardTest {
  protected:
    SmartcardMoves() {
        auto channel = link(output_);
        EXPECT_TRUE(channel->receive(say(VscType::reader_add, 0, {})));
        guest_.taken.clear();
        guest_.takes = 5;
        EXPECT_TRUE(channel->receive(say(VscType::apdu, 3, numbered(30))));
        guest_.says.assign(said_.begin(), said_.begin() + 17);
        reader_->wakeup();
        reader_->set_running(false);
        const Bytes bytes = wire::encode(0, reader_->capture()).body();
        state_ = wire::parse<wire::migration::Smartcard>(SharedBytes::copy(bytes)).value();
        guest_.takes = 0;
        channel.reset();
        output_.messages.clear();

        guest_.takes = SIZE_MAX;
        reader_ = make_reader();
        reader_->set_running(false);
        reader_->expect_state();
        guest_.says.assign(said_.begin() + 17, said_.end());
    }
    void runs() {
        reader_->set_running(true);
        reader_->wakeup();
    }
    // A client that logs in hears the guest's messages, each whole.
    void expect_whole() {
        auto next = link(output_);
        EXPECT_TRUE(next->receive(say(VscType::reader_add, 0, {})));
        guest_.says = vsc(VscType::apdu, 0, numbered(7));
        reader_->wakeup();
        const auto heard = output_.take<Data>();
        ASSERT_TRUE(heard);
        EXPECT_EQ(heard->type, VscType::apdu);
        EXPECT_EQ(heard->data.contiguous().size(), 7u);
    }
    static Bytes ended() {
        Bytes expected = vsc(VscType::apdu, 3, numbered(30));
        const Bytes removed = vsc(VscType::reader_remove, 3, {});
        expected.insert(expected.end(), removed.begin(), removed.end());
        return expected;
    }

    const Bytes said_ = vsc(VscType::apdu, 0, numbered(40));
    wire::migration::Smartcard state_;
};

TEST_F(SmartcardMoves, WithoutItsClientTheGuestLosesTheCardAndNothingElse) {
    runs();
    EXPECT_EQ(guest_.says.size(), said_.size() - 17) << "the state is still to come";
    reader_->take_state(state_, false);
    reader_->wakeup();
    EXPECT_TRUE(guest_.says.empty());
    EXPECT_EQ(guest_.taken, ended());
    // Who brings it now would bring it twice.
    reader_->restore(state_);
    EXPECT_EQ(guest_.taken, ended());
    expect_whole();
}

TEST_F(SmartcardMoves, ItsClientMayDieOrNotComeAtAll) {
    auto channel = link(output_, true);
    reader_->take_state(state_, true);
    runs();
    EXPECT_EQ(guest_.taken.size(), 5u) << "it is to bring it";
    channel.reset();
    reader_->wakeup();
    EXPECT_EQ(guest_.taken, ended());
    expect_whole();
}

TEST_F(SmartcardMoves, AClientThatMayStillComeIsWaitedForWithinABound) {
    reader_->take_state(state_, true);
    runs();
    EXPECT_EQ(guest_.taken.size(), 5u);
    EXPECT_TRUE(loop_.run_until([&] { return guest_.taken.size() > 5; }, 20s));
    EXPECT_EQ(guest_.taken, ended());
}

TEST_F(SmartcardMoves, AClientThatBringsNothingKeepsItsCard) {
    auto channel = link(output_, true);
    reader_->take_state(state_, true);
    runs();
    channel->stop_waiting();
    EXPECT_EQ(guest_.taken, vsc(VscType::apdu, 3, numbered(30)));
    EXPECT_TRUE(reader_->is_added());
    const auto heard = output_.take<Data>();
    ASSERT_TRUE(heard);
    EXPECT_EQ(heard->data.contiguous().size(), 40u);
}

// Its state is newer: one command more.
TEST_F(SmartcardMoves, AClientThatBringsItKnowsBetter) {
    const Bytes more = vsc(VscType::apdu, 3, numbered(4));
    wire::migration::Smartcard newer = state_;
    const SharedBytes unwritten = state_.device.write_data.contiguous();
    Bytes bytes(unwritten.view().begin(), unwritten.view().end());
    bytes.insert(bytes.end(), more.begin(), more.end());
    newer.device.write_data = SharedBytes::take(std::move(bytes));
    auto channel = link(output_, true);
    reader_->take_state(state_, true);
    runs();
    wire::common::MigrateData data;
    data.data = SharedBytes::take(Bytes(wire::encode(0, newer).body()));
    ASSERT_TRUE(channel->receive(from_client(data)));
    Bytes expected = vsc(VscType::apdu, 3, numbered(30));
    expected.insert(expected.end(), more.begin(), more.end());
    EXPECT_EQ(guest_.taken, expected);
    EXPECT_EQ(output_.take<Data>()->data.contiguous().size(), 40u);
    EXPECT_TRUE(reader_->is_added());
}

TEST_F(SmartcardMoves, AStateThatIsNeverToldHoldsNothingForEver) {
    runs();
    EXPECT_TRUE(loop_.run_until([&] { return guest_.says.empty(); }, 20s));
}

}  // namespace
}  // namespace segue::spice::server
