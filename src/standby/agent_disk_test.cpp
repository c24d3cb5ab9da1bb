// SPDX-License-Identifier: LGPL-2.1-or-later
#include "standby/agent_disk.h"

#include <gmock/gmock.h>

#include "net/test_loop.h"
#include "standby/test_peer.h"

namespace segue::standby {
namespace {

constexpr std::uint64_t kDiskBytes = 1U << 20;

Bytes greeting() {
    BigWriter out;
    out.u32(3);
    out.u64(0x49484156454f5054);
    out.u32(1);  // EXPORT_NAME
    out.u32(0);
    return out.take();
}

Bytes request(nbd::Command command, std::uint32_t length) {
    BigWriter out;
    out.u32(0x25609513);
    out.u16(0);
    out.u16(static_cast<std::uint16_t>(command));
    out.u64(1);
    out.u64(0);
    out.u32(length);
    return out.take();
}

struct AgentDiskTest : ::testing::Test {
    net::TestLoop loop;
    TestFolder folder;
    int zeroes = 0, ends = 0;
    std::unique_ptr<AgentDisk> disk =
        AgentDisk::make(
            *loop, folder.file("disk.sock"), kDiskBytes,
            {[](std::uint64_t, ByteView) {}, [this](std::uint64_t, std::uint64_t) { zeroes += 1; },
             [this] { ends += 1; }})
            .value();

    std::unique_ptr<TestPeer> mirror() {
        auto peer = std::make_unique<TestPeer>(*loop, folder.file("disk.sock"));
        peer->send(greeting());
        const int before = zeroes;
        peer->send(request(nbd::Command::write_zeroes, kDiskBytes));
        EXPECT_TRUE(loop.run_until([&] { return zeroes > before; }));
        return peer;
    }
};

TEST_F(AgentDiskTest, ADiskIsWholeWhileItsCopyLives) {
    EXPECT_FALSE(disk->is_whole());
    const auto peer = mirror();
    EXPECT_TRUE(disk->is_whole());
    // Somebody who only looks is no copy, and neither is its end.
    auto other = std::make_unique<TestPeer>(*loop, folder.file("disk.sock"));
    other->send(greeting());
    EXPECT_TRUE(loop.run_until([&] { return other->input.size() > 18; }));
    other->connection->close();
    EXPECT_TRUE(disk->is_whole());
    EXPECT_EQ(ends, 0);
}

TEST_F(AgentDiskTest, WhatIsTrimmedHereIsThere) {
    const auto peer = mirror();
    const int before = zeroes;
    peer->send(request(nbd::Command::trim, kDiskBytes / 2));
    EXPECT_TRUE(loop.run_until([&] { return zeroes > before; }));
}

// A checkpoint may be read before the end of a connection that ended before it was made.
TEST_F(AgentDiskTest, AnEndIsSeenBeforeItIsRead) {
    const auto peer = mirror();
    peer->connection->close();
    EXPECT_FALSE(disk->is_whole());
    EXPECT_EQ(ends, 0);
    EXPECT_TRUE(loop.run_until([&] { return ends == 1; }));
    EXPECT_FALSE(disk->is_whole());
}

TEST_F(AgentDiskTest, AGoodbyeIsAnEndToo) {
    const auto peer = mirror();
    peer->send(request(nbd::Command::disconnect, 0));
    EXPECT_TRUE(loop.run_until([&] { return ends == 1; }));
    EXPECT_FALSE(disk->is_whole());
}

// What was written between the two is missing.
TEST_F(AgentDiskTest, ACopyThatHasEndedIsNotMendedByAnother) {
    mirror()->connection->close();
    EXPECT_TRUE(loop.run_until([&] { return ends == 1; }));
    const auto again = mirror();
    EXPECT_FALSE(disk->is_whole());
    EXPECT_EQ(ends, 1);
}

}  // namespace
}  // namespace segue::standby
