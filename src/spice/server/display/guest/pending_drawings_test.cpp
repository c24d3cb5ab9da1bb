// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/guest/pending_drawings.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <new>
#include <utility>

#include "spice/canvas/draw.h"
#include "spice/server/display/guest/drawing_plan.h"
#include "spice/server/short_memory.h"

namespace segue::spice::server {
thread_local int allocations_left = -1;
thread_local bool fails_once = false;
}  // namespace segue::spice::server

using segue::spice::server::allocations_left;
using segue::spice::server::fails_once;

// Of this whole program: nothing else can make memory short at a chosen place.
void* operator new(std::size_t size) {
    if (allocations_left == 0) {
        if (fails_once) allocations_left = -1;
        throw std::bad_alloc();
    }
    if (allocations_left > 0) --allocations_left;
    if (void* made = std::malloc(size == 0 ? 1 : size)) return made;
    throw std::bad_alloc();
}
void operator delete(void* memory) noexcept {
    std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}

namespace segue::spice::server {
namespace {

using canvas::Image;
using canvas::Rect;
using canvas::Region;
using Kind = PendingDrawing::Kind;

// Of some 12,000 pixels: a plan does not treat large drawings as it does small ones.
constexpr std::int32_t kWidth = 128;
constexpr std::int32_t kHeight = 96;
static_assert(kWidth * kHeight > 2 * DrawingPlan::kSmallArea);

Image picture(std::int32_t width, std::int32_t height, std::uint32_t seed) {
    Image made = Image::create(canvas::Format::xrgb32, width, height).value();
    for (std::int32_t y = 0; y < height; ++y) {
        for (std::int32_t x = 0; x < width; ++x) {
            const std::uint32_t pixel = seed << 16 | static_cast<std::uint32_t>(y * width + x);
            std::memcpy(made.line(y) + x * 4, &pixel, sizeof pixel);
        }
    }
    return made;
}

// A surface whose drawings wait, beside one on which each is drawn when it comes.
class PendingDrawingsTest : public testing::Test {
  protected:
    void fill(const Region& region, std::uint32_t color) {
        canvas::Brush brush;
        brush.kind = canvas::Brush::Kind::solid;
        brush.color = color;
        canvas::fill(expected_, region, brush, canvas::Rop::copy);
        PendingDrawing drawing;
        drawing.kind = Kind::fill;
        drawing.region = region;
        drawing.color = color;
        add(std::move(drawing));
    }
    // The picture's corner would lie at (left, top).
    void paint(const Region& region, std::int32_t left, std::int32_t top, Image image) {
        const Rect box{left, top, left + image.width(), top + image.height()};
        const canvas::Source source{&image, image.bounds(), canvas::ScaleMode::nearest};
        ASSERT_TRUE(canvas::copy(expected_, region, box, source, canvas::Rop::copy));
        PendingDrawing drawing;
        drawing.kind = Kind::picture;
        drawing.region = region;
        drawing.shift = {-left, -top};
        drawing.picture = std::move(image);
        add(std::move(drawing));
    }
    void move(Region region, std::int32_t dx, std::int32_t dy) {
        const Rect box = region.extents();
        canvas::copy_bits(expected_, region, box, {box.left + dx, box.top + dy});
        region.intersect(Rect{-dx, -dy, kWidth - dx, kHeight - dy});
        if (region.empty()) return;
        PendingDrawing drawing;
        drawing.kind = Kind::move;
        drawing.region = std::move(region);
        drawing.shift = {dx, dy};
        add(std::move(drawing));
    }
    void fill(const Rect& rect, std::uint32_t color) { fill(Region(rect), color); }
    void move(const Rect& rect, std::int32_t dx, std::int32_t dy) { move(Region(rect), dx, dy); }

    void draw() {
        pending_.draw(surface_);
        EXPECT_TRUE(pending_.empty());
        EXPECT_EQ(given_back_.size(), added_);
        expect_equal(surface_, surface_.bounds(), surface_.bounds());
    }
    // The image shows in `at` what is expected in `rect`.
    void expect_equal(const Image& image, const Rect& at, const Rect& rect) {
        for (std::int32_t y = 0; y < rect.height(); ++y) {
            ASSERT_EQ(std::memcmp(image.line(at.top + y) + at.left * 4,
                                  expected_.line(rect.top + y) + rect.left * 4,
                                  static_cast<std::size_t>(rect.width()) * 4),
                      0)
                << "line " << y;
        }
    }
    std::size_t given_back() const {
        for (const auto& [info, times] : given_back_)
            EXPECT_EQ(times, 1);
        return given_back_.size();
    }

    Image surface_ = picture(kWidth, kHeight, 1);
    Image expected_ = picture(kWidth, kHeight, 1);
    std::map<std::uintptr_t, int> given_back_;
    PendingDrawings pending_{[this](const QXLReleaseInfoExt& info) {
        const ShortMemory is_enough(-1);
        ++given_back_[reinterpret_cast<std::uintptr_t>(info.info)];
    }};
    std::size_t added_ = 0;

  private:
    void add(PendingDrawing drawing) {
        drawing.release.info = reinterpret_cast<QXLReleaseInfo*>(++added_ * 8);
        pending_.add(std::move(drawing));
    }
};

TEST_F(PendingDrawingsTest, WhatIsPaintedOverIsGivenBackAndNeverDrawn) {
    fill({0, 0, 8, 8}, 1);
    fill({4, 4, 12, 12}, 2);
    EXPECT_EQ(given_back(), 0u);
    fill({0, 0, 12, 12}, 3);
    EXPECT_EQ(given_back(), 2u);
    draw();
    EXPECT_EQ(given_back(), 3u);
}

TEST_F(PendingDrawingsTest, WhatAMoveTookAlongIsKeptWithIt) {
    fill({0, 0, 8, 8}, 1);
    move({20, 0, 28, 8}, -20, 0);
    fill({0, 0, 8, 8}, 2);  // the first is seen elsewhere
    EXPECT_EQ(given_back(), 0u);
    fill({0, 0, 40, 8}, 3);  // and now nowhere
    EXPECT_EQ(given_back(), 3u);
    draw();
}

TEST_F(PendingDrawingsTest, AMoveLooksAtWhatItCovers) {
    fill({0, 0, 8, 8}, 1);
    move({0, 0, 16, 16}, 2, 2);
    EXPECT_EQ(given_back(), 0u);
    draw();
}

TEST_F(PendingDrawingsTest, ATextThatScrollsIsMovedOnce) {
    for (std::uint32_t line = 0; line < 30; ++line) {
        move({8, 8, 56, 36}, 0, 4);
        paint(Region(Rect{8, 36, 56, 40}), 8, 36, picture(48, 4, line + 2));
    }
    draw();
}

// Oldest first: a row of moves of the same area.
std::vector<PendingDrawing> moves_of(std::size_t count, const Region& region, canvas::Point shift) {
    std::vector<PendingDrawing> drawings(count);
    for (PendingDrawing& drawing : drawings) {
        drawing.kind = Kind::move;
        drawing.region = region;
        drawing.shift = shift;
    }
    return drawings;
}

TEST(DrawingPlanTest, MovesThatFollowEachOtherAreOne) {
    const auto drawings = moves_of(60, Region(Rect{8, 8, 56, 36}), {0, 0});
    EXPECT_EQ(DrawingPlan::make(drawings).size(), drawings.size());
}

TEST(DrawingPlanTest, APlanOfTooManyPiecesEnds) {
    // Each lies elsewhere and comes from another distance.
    std::vector<PendingDrawing> apart;
    for (std::int32_t at = 0; at < 60; ++at)
        apart.push_back(std::move(moves_of(1, Region(Rect{at, 0, at + 1, 1}), {0, at + 1})[0]));
    const std::size_t size = DrawingPlan::make(apart).size();
    EXPECT_GE(size, DrawingPlan::kMostPieces - 1);
    EXPECT_LE(size, DrawingPlan::kMostPieces + 1);
}

TEST(DrawingPlanTest, APlanOfTooManyRectanglesEnds) {
    std::vector<Rect> dots;
    for (std::int32_t at = 0; at < static_cast<std::int32_t>(DrawingPlan::kMostRects) + 1; ++at)
        dots.push_back({at * 2, 0, at * 2 + 1, 1});
    const auto drawings = moves_of(5, Region(dots), {0, 1});
    EXPECT_EQ(DrawingPlan::make(drawings).size(), 1u);
}

TEST(DrawingPlanTest, SmallPicturesMakeNoPlanMoreIntricate) {
    // A window full of them that moves twice: its pixels are still one piece.
    std::vector<PendingDrawing> drawings = moves_of(2, Region(Rect{0, 0, 1000, 1000}), {8, 0});
    for (std::int32_t at = 0; at < static_cast<std::int32_t>(DrawingPlan::kMostRects) * 2; ++at) {
        PendingDrawing fill;
        fill.region =
            Region(Rect{at % 32 * 30, at / 32 * 30, at % 32 * 30 + 20, at / 32 * 30 + 14});
        drawings.push_back(std::move(fill));
    }
    EXPECT_EQ(DrawingPlan::make(drawings).size(), drawings.size());
}

// Moves that cut a window into stripes, and small drawings that each of them shows again.
TEST(DrawingPlanTest, APlanOfTooManyPartsEnds) {
    constexpr std::int32_t kCopies = 11;
    std::vector<PendingDrawing> drawings;
    for (int at = 0; at < 400; ++at) {
        PendingDrawing fill;
        std::vector<Rect> dots;
        for (std::int32_t dot = 0; dot < 16; ++dot)
            dots.push_back({dot * 30, dot % 8, dot * 30 + 20, dot % 8 + 1});
        fill.region = Region(dots);
        drawings.push_back(std::move(fill));
    }
    for (std::int32_t copy = 1; copy <= kCopies; ++copy)
        drawings.push_back(std::move(
            moves_of(1, Region(Rect{0, copy * 8, 512, copy * 8 + 8}), {0, -8 * copy})[0]));
    const std::size_t size = DrawingPlan::make(drawings).size();
    EXPECT_GT(size, kCopies + DrawingPlan::kMostPartRects / 16 / (kCopies + 1) - 2);
    EXPECT_LT(size, kCopies + DrawingPlan::kMostPartRects / 16 / (kCopies + 1) + 2);
}

// Whichever allocation fails: everything is drawn, given back once, and counted no more.
TEST_F(PendingDrawingsTest, NothingIsLostWhereMemoryIsShort) {
    for (int allocations = 0; allocations < 60; ++allocations) {
        fill({0, 0, 8, 8}, 1);
        move({0, 0, 8, 8}, 16, 0);
        move({16, 0, 24, 8}, 16, 0);
        move({32, 0, 40, 8}, -32, 0);
        paint(Region(Rect{8, 36, 56, 40}), 8, 36, picture(48, 4, 7));
        {
            const ShortMemory is_short(allocations);
            pending_.draw(surface_);
        }
        ASSERT_NO_FATAL_FAILURE(draw()) << allocations;
        EXPECT_EQ(given_back(), added_);
    }
}

TEST_F(PendingDrawingsTest, WhatFindsNoMemoryIsNotCounted) {
    const auto total = std::make_shared<PendingTotal>();
    PendingDrawings pending({}, total);
    int added = 0;
    int refused = 0;
    for (int turn = 0; turn < 40; ++turn) {
        PendingDrawing drawing;
        drawing.region = Region(Rect{turn, 0, turn + 1, 1});
        const ShortMemory is_short(0);
        try {
            pending.add(std::move(drawing));
            ++added;
        } catch (const std::bad_alloc&) {
            ++refused;
        }
    }
    EXPECT_GT(refused, 0);
    EXPECT_EQ(added, 0) << "the first found no room, and so did the others";
    EXPECT_EQ(total->bytes(), 0u);
}

// A third place helps two to change theirs.
TEST_F(PendingDrawingsTest, MovesThatReadWhatTheOtherWritesAreDrawnInTheirOrder) {
    move({0, 0, 8, 8}, 16, 0);
    move({16, 0, 24, 8}, 16, 0);
    move({32, 0, 40, 8}, -32, 0);
    draw();
    move({40, 0, 48, 8}, -40, 0);
    move({0, 0, 8, 8}, 16, 0);
    move({16, 0, 24, 8}, 24, 0);
    draw();
}

TEST_F(PendingDrawingsTest, WhoAsksForWhatAPictureShowsIsGivenThePicture) {
    paint(Region(Rect{8, 8, 40, 24}), 4, 4, picture(40, 24, 9));
    fill({48, 0, 56, 8}, 7);
    move({8, 30, 40, 38}, 0, -20);
    auto place = pending_.find(surface_, {10, 10, 20, 20});
    ASSERT_TRUE(place);
    EXPECT_NE(place->image, &surface_);
    expect_equal(*place->image, place->rect, {10, 10, 20, 20});
    place = pending_.find(surface_, {10, 32, 20, 36});
    ASSERT_TRUE(place) << "moved from there";
    EXPECT_EQ(place->rect, (Rect{6, 8, 16, 12}));
    expect_equal(*place->image, place->rect, {10, 32, 20, 36});
    place = pending_.find(surface_, {0, 0, 8, 8});
    ASSERT_TRUE(place);
    EXPECT_EQ(place->image, &surface_);
    EXPECT_FALSE(pending_.find(surface_, {0, 0, 20, 20})) << "part of it";
    EXPECT_FALSE(pending_.find(surface_, {48, 0, 56, 8})) << "a colour";
    draw();
}

TEST_F(PendingDrawingsTest, NotMuchIsKeptFromTheGuest) {
    for (std::int32_t at = 0; at < static_cast<std::int32_t>(PendingDrawings::kMostDrawings);
         ++at) {
        EXPECT_FALSE(pending_.is_full());
        fill({at % kWidth, at / kWidth, at % kWidth + 1, at / kWidth + 1}, 5);
    }
    EXPECT_TRUE(pending_.is_full());
    draw();
    const Image large = picture(2048, 2048, 3);
    paint(Region(Rect{0, 0, 8, 8}), 0, 0, large.view_as(large.format()));
    EXPECT_TRUE(pending_.is_full());
    fill({0, 0, 8, 8}, 5);
    EXPECT_FALSE(pending_.is_full()) << "it was hidden";
    draw();
}

// Every order of everything, with regions of several rectangles.
TEST_F(PendingDrawingsTest, WhatIsSeenIsWhatWasDrawnOneByOne) {
    std::uint32_t seed = 20;
    const auto random = [&](std::int32_t most) {
        seed = seed * 1103515245u + 12345u;
        return static_cast<std::int32_t>(seed >> 8) % most;
    };
    const auto rect = [&] {
        const std::int32_t left = random(kWidth - 1), top = random(kHeight - 1);
        return Rect{left, top, left + 1 + random(kWidth - left), top + 1 + random(kHeight - top)};
    };
    const auto region = [&] {
        Region made(rect());
        if (random(3) == 0) made.subtract(Region(rect()));
        return made;
    };
    for (int turn = 0; turn < 20000 && !HasFatalFailure(); ++turn) {
        const std::int32_t kind = random(8);
        const Region where = region();
        if (where.empty()) continue;
        if (kind < 2) {
            fill(where, static_cast<std::uint32_t>(turn));
        } else if (kind < 4) {
            const Rect box = where.extents();
            const std::int32_t left = box.left - random(4), top = box.top - random(4);
            paint(where, left, top,
                  picture(box.right - left + random(3), box.bottom - top + random(3),
                          static_cast<std::uint32_t>(turn)));
        } else if (kind < 7) {
            move(where, random(31) - 15, random(31) - 15);
        } else if (const Rect asked = rect(); const auto place = pending_.find(surface_, asked)) {
            expect_equal(*place->image, place->rect, asked);
        }
        if (random(12) == 0 || pending_.is_full()) draw();
    }
    draw();
    EXPECT_EQ(given_back(), added_);
}

}  // namespace
}  // namespace segue::spice::server
