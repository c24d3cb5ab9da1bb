// SPDX-License-Identifier: LGPL-2.1-or-later
#include "standby/datagram_queue.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "net/descriptor.h"

namespace segue::standby {
namespace {

struct Pair {
    Pair() {
        int ends[2];
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, ends), 0);
        near.reset(ends[0]);
        far.reset(ends[1]);
    }
    // The numbers that have come.
    std::vector<std::uint32_t> read() const {
        std::vector<std::uint32_t> numbers;
        std::uint8_t frame[2000];
        while (::recv(far.get(), frame, sizeof frame, 0) > 0)
            numbers.push_back(load<ByteOrder::big, std::uint32_t>(frame));
        return numbers;
    }
    net::Descriptor near, far;
};

FrameGate::Frames numbered(std::uint32_t first, std::uint32_t count) {
    FrameGate::Frames frames;
    for (std::uint32_t number = first; number < first + count; ++number) {
        Bytes frame(1000, 0);
        store<ByteOrder::big>(frame.data(), number);
        const Bytes whole = framed(frame);
        frames.bytes.insert(frames.bytes.end(), whole.begin(), whole.end());
        frames.count += 1;
    }
    return frames;
}

TEST(DatagramQueue, WhatASocketDoesNotTakeWaitsAndComesInOrder) {
    const Pair pair;
    DatagramQueue queue(32U << 20);
    // More than the socket holds, and more behind it.
    queue.send(pair.near.get(), nullptr, numbered(0, 5000));
    ASSERT_TRUE(queue.is_waiting());
    queue.send(pair.near.get(), nullptr, numbered(5000, 10));
    std::vector<std::uint32_t> heard;
    for (int turn = 0; turn < 10000 && heard.size() < 5010; ++turn) {
        const auto more = pair.read();
        heard.insert(heard.end(), more.begin(), more.end());
        queue.flush(pair.near.get(), nullptr);
    }
    ASSERT_EQ(heard.size(), 5010U);
    for (std::uint32_t number = 0; number < 5010; ++number)
        EXPECT_EQ(heard[number], number);
    EXPECT_FALSE(queue.is_waiting());
    EXPECT_EQ(queue.dropped(), 0U);
}

TEST(DatagramQueue, BeyondItsBoundFramesAreDroppedAndCounted) {
    const Pair pair;
    DatagramQueue queue(10 * 1000);
    queue.send(pair.near.get(), nullptr, numbered(0, 5000));
    const std::size_t taken = pair.read().size();
    EXPECT_EQ(queue.dropped(), 5000 - taken - 10);
    queue.flush(pair.near.get(), nullptr);
    EXPECT_EQ(pair.read().size(), 10U);
}

TEST(DatagramQueue, APeerThatIsGoneHoldsNothingUp) {
    Pair pair;
    DatagramQueue queue(32U << 20);
    queue.send(pair.near.get(), nullptr, numbered(0, 5000));
    ASSERT_TRUE(queue.is_waiting());
    pair.far.reset();
    queue.flush(pair.near.get(), nullptr);
    EXPECT_FALSE(queue.is_waiting());
    EXPECT_GT(queue.dropped(), 0U);
}

}  // namespace
}  // namespace segue::standby
