// SPDX-License-Identifier: LGPL-2.1-or-later
#include <gtest/gtest.h>

#include "spice/server/display/video/stream_rate.h"
#include "spice/server/display/video/video_areas.h"

namespace segue::spice::server {
namespace {

using canvas::Rect;

// Draws `frames` times at this pace; the area that became a video, if one did.
std::optional<Rect> draw(VideoAreas& areas, const Rect& rect, unsigned frames, Duration gap,
                         bool photos_only = false, bool photo = true) {
    static Instant now{1s};
    now = now + 10s;
    std::optional<Rect> found;
    for (unsigned frame = 0; frame < frames; ++frame) {
        now = now + gap;
        // The last column changes only in every other frame.
        Rect drawn = rect;
        drawn.right -= frame % 2 == 0 ? 0 : 8;
        const auto area =
            areas.seen(0, drawn, now, photos_only, [&](const Rect&) { return photo; });
        if (area) found = area;
    }
    return found;
}

TEST(VideoAreas, AreFoundAfterTwentyFramesAtOnePlace) {
    VideoAreas areas;
    const Rect rect{40, 30, 360, 270};
    EXPECT_FALSE(draw(areas, rect, 19, 40ms));
    EXPECT_EQ(draw(areas, rect, 20, 40ms), rect);
    EXPECT_FALSE(draw(areas, rect, 40, 250ms)) << "too slow";
    EXPECT_FALSE(draw(areas, {0, 0, 95, 400}, 40, 40ms)) << "too narrow";
}

TEST(VideoAreas, OnlyPhotosWhereAskedFor) {
    VideoAreas areas;
    const Rect rect{40, 30, 360, 270};
    EXPECT_FALSE(draw(areas, rect, 40, 40ms, true, false));
    EXPECT_TRUE(draw(areas, rect, 40, 40ms, true, true));
}

TEST(VideoAreas, AreForgottenWithTheirSurface) {
    VideoAreas areas;
    Instant now{1s};
    for (unsigned frame = 0; frame < VideoAreas::kFrames + 5; ++frame) {
        now = now + 20ms;
        if (frame == 10) areas.forget(0);
        EXPECT_FALSE(areas.seen(0, {0, 0, 320, 200}, now, false, [](const Rect&) { return true; }))
            << frame;
    }
}

// A second of frames, 40 ms apart, of which the line takes none or all.
void second(StreamRate& rate, Instant& now, bool has_room) {
    for (int frame = 0; frame < 26; ++frame) {
        now = now + 40ms;
        if (rate.may_send(has_room, now)) rate.sent(now);
    }
}

TEST(StreamRate, GivesWayInQualityAndThenInPace) {
    Instant now{1s};
    StreamRate rate(now);
    const int first = rate.quality();
    second(rate, now, false);
    EXPECT_LT(rate.quality(), first);
    for (int turn = 0; turn < 30; ++turn)
        second(rate, now, false);
    EXPECT_EQ(rate.quality(), 25);
    EXPECT_GT(rate.interval(), Duration(100ms));
    EXPECT_LE(rate.interval(), Duration(1s));
    for (int turn = 0; turn < 100; ++turn)
        second(rate, now, true);
    EXPECT_EQ(rate.quality(), 85);
    EXPECT_LT(rate.interval(), Duration(40ms));
}

TEST(StreamRate, FollowsTheClientsReports) {
    Instant now{1s};
    StreamRate rate(now);
    const int first = rate.quality();
    const Duration lead = rate.lead();
    rate.reported({20, 0, 10ms}, now);
    EXPECT_EQ(rate.quality(), first);
    rate.reported({20, 10, -30ms}, now);
    EXPECT_LT(rate.quality(), first);
    EXPECT_GT(rate.lead(), lead);
}

// Numbers from another server.
TEST(StreamRate, GoesOnWithinItsBounds) {
    const StreamRate most(Instant{1s}, {200, 3600s, 3600s});
    EXPECT_EQ(most.quality(), 85);
    EXPECT_EQ(most.interval(), Duration(1s));
    EXPECT_EQ(most.lead(), Duration(500ms));
    const StreamRate least(Instant{1s}, {0, Duration{}, Duration{}});
    EXPECT_EQ(least.quality(), 25);
    EXPECT_EQ(least.interval(), Duration(16ms));
    EXPECT_EQ(least.lead(), Duration(80ms));
}

TEST(StreamRate, FramesKeepTheirDistance) {
    StreamRate rate(Instant{1s});
    EXPECT_TRUE(rate.may_send(true, Instant{1s}));
    rate.sent(Instant{1s});
    EXPECT_FALSE(rate.may_send(true, Instant{1s + 10ms}));
    EXPECT_TRUE(rate.may_send(true, Instant{1s + 20ms}));
}

}  // namespace
}  // namespace segue::spice::server
