// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/chardev/device_port.h"

#include <gtest/gtest.h>

#include "net/test_loop.h"
#include "spice/server/chardev/fake_char_device.h"
#include "spice/server/chardev/token_account.h"

namespace segue::spice::server {
namespace {

using wire::SharedBytes;

class DevicePortTest : public testing::Test, private DevicePort::Owner {
  protected:
    DevicePortTest() { port_ = make(); }
    std::unique_ptr<DevicePort> make() {
        DevicePort::Owner& owner = *this;
        return std::make_unique<DevicePort>(std::make_unique<FakeCharDevice>(guest_), *loop_,
                                            owner);
    }
    void device_readable() override { ++readable_; }
    void device_took(Payer payer, std::uint32_t tokens) override { paid_[payer] += tokens; }
    void device_has_room() override { ++rooms_; }

    net::TestLoop loop_;
    FakeGuest guest_;
    std::unique_ptr<DevicePort> port_;
    std::map<Payer, std::uint32_t> paid_;
    int readable_ = 0;
    int rooms_ = 0;
};

TEST_F(DevicePortTest, KeepsTheOrderThroughPartialWrites) {
    port_->set_running(true);
    guest_.takes = 0;
    Bytes sent;
    for (std::size_t piece = 0; piece < 20; ++piece) {
        const Bytes bytes = numbered(100 + piece, sent.size());
        sent.insert(sent.end(), bytes.begin(), bytes.end());
        ASSERT_TRUE(port_->write(SharedBytes::copy(bytes), 7, 1));
    }
    EXPECT_EQ(port_->queued(), sent.size());
    for (std::size_t step = 1; port_->queued() > 0; ++step) {
        guest_.takes = step * 13;
        port_->wakeup();
    }
    EXPECT_EQ(guest_.taken, sent);
    EXPECT_EQ(paid_[7], 20u);
}

TEST_F(DevicePortTest, NothingMovesWhileTheMachineStandsOrTheStateIsMissing) {
    ASSERT_TRUE(port_->write(SharedBytes::take({1})));
    guest_.says = {2};
    std::uint8_t byte = 0;
    EXPECT_EQ(port_->read({&byte, 1}), 0u);
    port_->set_held(true);
    port_->set_running(true);
    EXPECT_EQ(port_->read({&byte, 1}), 0u);
    EXPECT_TRUE(guest_.taken.empty());
    port_->set_held(false);
    EXPECT_EQ(guest_.taken, Bytes{1});
    EXPECT_EQ(port_->read({&byte, 1}), 1u);
    EXPECT_EQ(byte, 2);
    EXPECT_GT(readable_, 0);
}

TEST_F(DevicePortTest, TellsWhenAFullQueueHasRoomAndRefusesBeyondItsEnd) {
    ASSERT_TRUE(port_->write(SharedBytes::take(Bytes(DevicePort::kHighMark))));
    EXPECT_TRUE(port_->is_full());
    port_->set_running(true);
    EXPECT_EQ(rooms_, 1);
    EXPECT_FALSE(port_->is_full());
    port_->set_running(false);
    ASSERT_TRUE(port_->write(SharedBytes::take(Bytes(DevicePort::kMostQueued))));
    const Result<> more = port_->write(SharedBytes::take({1}));
    ASSERT_FALSE(more);
    EXPECT_EQ(more.error().code, ErrorCode::limit_exceeded);
}

TEST_F(DevicePortTest, AGuestThatAnswersWhileItIsWrittenToIsNotWrittenToTwice) {
    port_->set_running(true);
    guest_.most_at_once = 3;
    guest_.on_write = [&] { port_->wakeup(); };
    const Bytes sent = numbered(50);
    ASSERT_TRUE(port_->write(SharedBytes::copy(sent)));
    EXPECT_EQ(guest_.taken, sent);
}

TEST_F(DevicePortTest, ADeviceMayGoWhileItIsWrittenTo) {
    port_->set_running(true);
    guest_.on_write = [&] { port_.reset(); };
    ASSERT_TRUE(port_->write(SharedBytes::take({1, 2, 3})));
    EXPECT_EQ(port_, nullptr);
}

TEST_F(DevicePortTest, ADeviceThatDoesNotTellIsAskedAgain) {
    guest_.notifies = false;
    port_ = make();
    port_->set_running(true);
    guest_.takes = 0;
    ASSERT_TRUE(port_->write(SharedBytes::take({1, 2})));
    guest_.takes = 10;
    EXPECT_TRUE(loop_.run_until([&] { return guest_.taken.size() == 2; }));
}

TEST_F(DevicePortTest, FinishesWhatTheGuestHasBegunOfAPayerThatIsGone) {
    port_->set_running(true);
    guest_.takes = 1;
    ASSERT_TRUE(port_->write(SharedBytes::take({1, 2}), 7, 1));
    ASSERT_TRUE(port_->write(SharedBytes::take({3}), 8, 1));
    ASSERT_TRUE(port_->write(SharedBytes::take({4}), 7, 1));
    port_->forget(7);
    guest_.takes = 10;
    port_->wakeup();
    EXPECT_EQ(guest_.taken, (Bytes{1, 2, 3}));
    EXPECT_EQ(paid_[7], 0u);
    EXPECT_EQ(paid_[8], 1u);
}

TEST_F(DevicePortTest, MovesWithEveryByteOnce) {
    port_->set_running(true);
    guest_.takes = 4;
    ASSERT_TRUE(port_->write(SharedBytes::copy(numbered(6)), 7, 1));
    ASSERT_TRUE(port_->write(SharedBytes::copy(numbered(6, 6)), 7, 1));
    port_->set_running(false);
    DevicePort::Unwritten state = port_->capture(7);
    EXPECT_EQ(state.tokens, 2u);

    port_ = make();
    guest_.takes = SIZE_MAX;
    port_->set_held(true);
    ASSERT_TRUE(port_->write(SharedBytes::copy(numbered(3, 12)), 7, 1));
    port_->restore(std::move(state), 7);
    port_->set_running(true);
    port_->set_held(false);
    EXPECT_EQ(guest_.taken, numbered(15));
    EXPECT_EQ(paid_[7], 3u);
}

TEST(TokenAccount, GivesBackInBunchesAndNeverMoreThanTheWindow) {
    TokenAccount account;
    for (std::uint32_t count = 0; count < TokenAccount::kWindow; ++count)
        EXPECT_TRUE(account.spend());
    EXPECT_FALSE(account.spend());
    EXPECT_EQ(account.paid_back(4), 0u);
    EXPECT_EQ(account.paid_back(1), 5u);
    EXPECT_EQ(account.paid_back(100), 5u);
    EXPECT_EQ(account.paid_back(100), 0u);
}

TEST(TokenAccount, MovesWithoutLosingATokenAndBelievesNoMore) {
    TokenAccount source;
    for (int count = 0; count < 8; ++count)
        source.spend();
    source.paid_back(3);  // 3 freed, 5 in the queue
    source.granted_by_client(0xfffffff0);
    source.granted_by_client(0xff);
    wire::migration::CharDevice state;
    source.capture(state);
    state.write_client_tokens = 5;
    EXPECT_EQ(state.client_tokens, 2u);
    EXPECT_EQ(state.send_tokens, 0xffffffffu);
    TokenAccount target;
    target.restore(state);
    EXPECT_EQ(target.paid_back(2), 5u);  // 3 + 2
    wire::migration::CharDevice forged;
    forged.client_tokens = 1000;
    forged.write_client_tokens = 1000;
    TokenAccount other;
    other.restore(forged);
    EXPECT_EQ(other.paid_back(1000), 0u);
}

}  // namespace
}  // namespace segue::spice::server
