// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/client/display/stream_pacer.h"

#include <gtest/gtest.h>

#include <tuple>

namespace segue::spice::client {
namespace {

StreamPacer::Frame frame(std::uint64_t name) {
    return {wire::display::StreamData::kFromServer, {}, name};
}

std::vector<std::uint64_t> names(const std::vector<StreamPacer::Frame>& frames) {
    std::vector<std::uint64_t> result;
    for (const auto& each : frames)
        result.push_back(each.generation);
    return result;
}

using Names = std::vector<std::uint64_t>;

TEST(StreamPacerTest, WithoutSoundEveryFrameIsShownAsItComes) {
    StreamPacer pacer;
    pacer.create(1);
    pacer.add(1, 1400, frame(1), 1000, false);
    pacer.add(1, 1433, frame(2), 1000, false);
    EXPECT_EQ(names(pacer.take_due(1000, false)), (Names{1, 2}));
    EXPECT_FALSE(pacer.next_due_ms(1000));
}

TEST(StreamPacerTest, WithSoundFramesWaitForTheirTime) {
    StreamPacer pacer;
    pacer.create(1);
    pacer.add(1, 1400, frame(1), 1000, true);
    pacer.add(1, 1433, frame(2), 1010, true);
    EXPECT_EQ(names(pacer.take_due(1010, true)), Names{});
    EXPECT_EQ(pacer.next_due_ms(1010), 390u);
    EXPECT_EQ(names(pacer.take_due(1400, true)), Names{1});
    EXPECT_EQ(names(pacer.take_due(1440, true)), Names{2});
}

TEST(StreamPacerTest, OfTwoLateFramesTheOlderIsDropped) {
    StreamPacer pacer;
    pacer.create(1);
    pacer.ask({1, 7, 3, 10000});
    for (std::uint64_t each = 1; each <= 3; ++each)
        pacer.add(1, 1000 + static_cast<std::uint32_t>(each), frame(each), 2000, true);
    EXPECT_EQ(names(pacer.take_due(2000, true)), Names{3});
    const auto reports = pacer.take_reports(2000, StreamPacer::kNoSound);
    ASSERT_EQ(reports.size(), 1u);
    EXPECT_EQ(reports[0].unique_id, 7u);
    EXPECT_EQ(reports[0].frames, 3u);
    EXPECT_EQ(reports[0].drops, 2u);
    EXPECT_EQ(reports[0].start_frame_mm_time, 1001u);
    EXPECT_EQ(reports[0].end_frame_mm_time, 1003u);
    EXPECT_EQ(reports[0].last_frame_delay, -997);
    EXPECT_TRUE(pacer.take_reports(2000, 0).empty()) << "a new window begins";
}

TEST(StreamPacerTest, AReportIsDueAfterItsTimeToo) {
    StreamPacer pacer;
    pacer.create(1);
    pacer.ask({1, 7, 100, 1000});
    pacer.add(1, 500, frame(1), 100, false);
    EXPECT_TRUE(pacer.take_reports(1099, 0).empty());
    EXPECT_EQ(pacer.take_reports(1100, 0).size(), 1u);
}

TEST(StreamPacerTest, TimeGoesRound) {
    StreamPacer pacer;
    pacer.create(1);
    pacer.add(1, 5, frame(1), 0xfffffff0, true);
    EXPECT_EQ(pacer.next_due_ms(0xfffffff0), 21u);
    EXPECT_EQ(names(pacer.take_due(5, true)), Names{1});
}

TEST(StreamPacerTest, WhatWaitsIsCounted) {
    StreamPacer pacer;
    const auto large = [](std::uint16_t number) {
        StreamPacer::Frame made = frame(number);
        made.body = wire::SharedBytes::take(Bytes(1000));
        return made;
    };
    pacer.create(1);
    pacer.create(2);
    for (const std::uint32_t stream : {1u, 1u, 1u, 2u})
        pacer.add(stream, 1400, large(1), 1000, true);
    EXPECT_EQ(pacer.waiting_bytes(), 4000u);
    pacer.destroy(2);
    EXPECT_EQ(pacer.waiting_bytes(), 3000u);
    pacer.add(1, 2000, large(2), 1000, true);
    std::ignore = pacer.take_due(1400, true);
    EXPECT_EQ(pacer.waiting_bytes(), 1000u) << "two were overtaken, one is shown";
    pacer.add(1, 2100, large(3), 1400, false);
    EXPECT_EQ(pacer.waiting_bytes(), 0u) << "without sound nothing waits";
    pacer.add(1, 2200, large(4), 1400, true);
    pacer.clear();
    EXPECT_EQ(pacer.waiting_bytes(), 0u);
}

TEST(StreamPacerTest, WhatWaitsIsBounded) {
    StreamPacer pacer;
    pacer.create(1);
    for (std::uint64_t each = 0; each <= StreamPacer::kMaxWaiting; ++each)
        pacer.add(1, 3000, frame(each), 1000, true);
    EXPECT_EQ(names(pacer.take_due(1000, true)), Names{0});
    pacer.add(1, 100000, frame(99), 1000, true);
    EXPECT_EQ(pacer.take_due(1000, true).size(), StreamPacer::kMaxWaiting + 1)
        << "another clock: nothing waits for it";
    pacer.add(1, 1100, frame(1), 1000, true);
    pacer.destroy(1);
    EXPECT_TRUE(pacer.take_due(9999, true).empty());
}

}  // namespace
}  // namespace segue::spice::client
