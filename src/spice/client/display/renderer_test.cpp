// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/client/display/renderer.h"

#include <gtest/gtest.h>

#include "spice/codec/lz.h"

namespace segue::spice::client {
namespace {

namespace display = wire::display;

constexpr std::int64_t kCachePixels = 1 << 20;

// A renderer that is fed messages as a server would send them.
class RendererTest : public testing::Test {
  protected:
    template <class Message>
    Result<> feed(const Message& message) {
        wire::EncodedMessage encoded = wire::encode_from_server(message);
        return renderer_.handle(encoded.number, wire::SharedBytes::take(encoded.body()));
    }
    Result<> create(std::uint32_t id, std::uint32_t width, std::uint32_t height, bool primary) {
        return feed(display::SurfaceCreate{
            id, width, height, display::SurfaceFormat::xrgb32,
            primary ? display::SurfaceFlags::primary : display::SurfaceFlags{}});
    }
    display::DrawFill fill(std::uint32_t surface, wire::Rect box, std::uint32_t color) {
        display::DrawFill message;
        message.base.surface_id = surface;
        message.base.box = box;
        message.brush.type = display::BrushType::solid;
        message.brush.color = color;
        message.rop = display::Ropd::op_put;
        return message;
    }
    std::uint32_t shown_pixel(int x, int y) {
        const canvas::Image* image = renderer_.surfaces().shown();
        return reinterpret_cast<const std::uint32_t*>(image->line(y))[x];
    }
    // One pixel of this colour, as a picture with flags.
    display::DrawCopy copy_pixel(std::uint32_t color, display::ImageFlags flags, std::uint64_t id) {
        display::DrawCopy message;
        message.base.box = {0, 0, 1, 1};
        message.source_area = {0, 0, 1, 1};
        message.rop = display::Ropd::op_put;
        message.source.id = id;
        message.source.flags = flags;
        message.source.width = message.source.height = 1;
        display::BitmapData data;
        data.format = display::BitmapFormat::thirty_two_bit;
        data.flags = display::BitmapFlags::top_down;
        data.width = data.height = 1;
        data.stride = 4;
        LittleWriter pixel;
        pixel.u32(color);
        data.data.append(wire::SharedBytes::take(pixel.take()));
        message.source.data = data;
        return message;
    }

    // The same for a picture of `side` x `side` in LZ.
    display::DrawCopy copy_picture(std::uint32_t color, int side) {
        display::DrawCopy message = copy_pixel(color, {}, 0);
        message.base.box = message.source_area = {0, 0, side, side};
        message.source.type = display::ImageType::lz_rgb;
        message.source.width = message.source.height = static_cast<std::uint32_t>(side);
        const std::vector<std::uint32_t> pixels(static_cast<std::size_t>(side * side), color);
        codec::PictureView picture;
        picture.width = picture.height = static_cast<std::uint32_t>(side);
        picture.rows = reinterpret_cast<const std::uint8_t*>(pixels.data());
        picture.stride = 4 * side;
        Bytes packed;
        EXPECT_TRUE(codec::LzEncoder().encode(picture, packed));
        display::BinaryData data;
        data.data.append(wire::SharedBytes::take(std::move(packed)));
        message.source.data = data;
        return message;
    }

    SharedCaches shared_{kCachePixels, 1 << 16};
    Renderer renderer_{shared_};
};

TEST_F(RendererTest, DrawsOnThePrimarySurfaceAndTellsTheDamage) {
    ASSERT_TRUE(create(0, 20, 10, true));
    EXPECT_EQ(renderer_.surfaces().take_damage().extents(), (canvas::Rect{0, 0, 20, 10}));
    ASSERT_TRUE(feed(fill(0, {2, 1, 5, 4}, 0xabcdef)));
    EXPECT_EQ(renderer_.surfaces().take_damage().extents(), (canvas::Rect{1, 2, 4, 5}));
    EXPECT_EQ(shown_pixel(1, 2), 0xabcdefu);
    EXPECT_EQ(shown_pixel(0, 0), 0u);
}

TEST_F(RendererTest, OtherSurfacesAreDrawnOnAndFrom) {
    ASSERT_TRUE(create(0, 20, 10, true));
    ASSERT_TRUE(create(7, 4, 4, false));
    ASSERT_TRUE(feed(fill(7, {0, 0, 4, 4}, 0x123456)));
    display::DrawCopy copy;
    copy.base.box = {0, 0, 4, 4};
    copy.source_area = {0, 0, 4, 4};
    copy.rop = display::Ropd::op_put;
    copy.source.type = display::ImageType::surface;
    copy.source.data = display::SurfaceReference{7};
    ASSERT_TRUE(feed(copy));
    EXPECT_EQ(shown_pixel(3, 3), 0x123456u);
    ASSERT_TRUE(feed(display::SurfaceDestroy{7}));
    EXPECT_FALSE(feed(copy));
}

// Such a picture takes the place of the surface's memory, which then serves for the next one.
TEST_F(RendererTest, PicturesOfAWholeSurfaceAreShownLikeOthers) {
    ASSERT_TRUE(create(0, 4, 4, true));
    for (const std::uint32_t color : {0x111111u, 0x222222u, 0x333333u}) {
        ASSERT_TRUE(feed(copy_picture(color, 4)));
        EXPECT_EQ(shown_pixel(0, 0), color);
        EXPECT_EQ(shown_pixel(3, 3), color);
        EXPECT_EQ(renderer_.surfaces().take_damage().extents(), (canvas::Rect{0, 0, 4, 4}));
    }
    ASSERT_TRUE(feed(copy_picture(0x444444, 2)));
    EXPECT_EQ(shown_pixel(1, 1), 0x444444u);
    EXPECT_EQ(shown_pixel(2, 2), 0x333333u);
    // All of the picture, and not all of the surface.
    display::DrawCopy clipped = copy_picture(0x555555, 4);
    clipped.base.clip.type = display::ClipType::rects;
    clipped.base.clip.rects = {{0, 0, 1, 4}};  // top, left, bottom, right
    ASSERT_TRUE(feed(clipped));
    EXPECT_EQ(shown_pixel(3, 0), 0x555555u);
    EXPECT_EQ(shown_pixel(3, 1), 0x333333u);
    ASSERT_TRUE(feed(copy_picture(0x666666, 4)));
    ASSERT_TRUE(feed(copy_picture(0x777777, 4)));
    EXPECT_EQ(shown_pixel(2, 1), 0x777777u);
}

TEST_F(RendererTest, ACachedPictureOfAWholeSurfaceStaysInTheCache) {
    ASSERT_TRUE(create(0, 1, 1, true));
    ASSERT_TRUE(feed(copy_pixel(0x123456, display::ImageFlags::cache_me, 9)));
    ASSERT_TRUE(feed(copy_pixel(0xabcdef, {}, 10)));
    ASSERT_TRUE(feed(fill(0, {0, 0, 1, 1}, 0)));
    display::DrawCopy again = copy_pixel(0, {}, 9);
    again.source.type = display::ImageType::from_cache;
    again.source.data = std::monostate{};
    ASSERT_TRUE(feed(again));
    EXPECT_EQ(shown_pixel(0, 0), 0x123456u);
}

// It is shown from where it stands in the cache, which must not be drawn into.
TEST_F(RendererTest, APictureThatOthersSeeIsShownUntilSomethingIsDrawnOnIt) {
    ASSERT_TRUE(create(0, 4, 4, true));
    display::DrawCopy cached = copy_picture(0x123456, 4);
    cached.source.id = 9;
    cached.source.flags = display::ImageFlags::cache_me;
    display::DrawCopy again = copy_pixel(0, {}, 9);
    again.base.box = again.source_area = {0, 0, 4, 4};
    again.source.type = display::ImageType::from_cache;
    again.source.data = std::monostate{};

    ASSERT_TRUE(feed(cached));
    EXPECT_EQ(renderer_.surfaces().shown(), shared_.images.find(9).get());
    ASSERT_TRUE(feed(fill(0, {0, 0, 1, 1}, 0x1)));
    EXPECT_EQ(shown_pixel(0, 0), 0x1u);
    EXPECT_EQ(shown_pixel(3, 3), 0x123456u);
    ASSERT_TRUE(feed(again));
    EXPECT_EQ(shown_pixel(0, 0), 0x123456u);

    // What copies from the surface sees it, the surface itself among them.
    ASSERT_TRUE(create(7, 4, 4, false));
    display::DrawCopy from_screen = again;
    from_screen.base.surface_id = 7;
    from_screen.source.type = display::ImageType::surface;
    from_screen.source.data = display::SurfaceReference{0};
    ASSERT_TRUE(feed(from_screen));
    ASSERT_TRUE(feed(fill(0, {0, 0, 4, 4}, 0x2)));
    display::DrawCopy back = from_screen;
    back.base.surface_id = 0;
    back.source.data = display::SurfaceReference{7};
    ASSERT_TRUE(feed(back));
    EXPECT_EQ(shown_pixel(2, 2), 0x123456u);
    ASSERT_TRUE(feed(again));
    from_screen.base.surface_id = 0;
    ASSERT_TRUE(feed(from_screen));
    EXPECT_EQ(shown_pixel(2, 2), 0x123456u);

    // It outlives the cache, and the channel when the picture is kept.
    ASSERT_TRUE(feed(again));
    ASSERT_TRUE(feed(display::InvalAllPixmaps{}));
    EXPECT_EQ(shown_pixel(1, 1), 0x123456u);
    renderer_.reset(true);
    EXPECT_EQ(shown_pixel(1, 1), 0x123456u);
}

// The type of a JPEG's alpha plane, sent alone: colours that nobody sent are black.
TEST_F(RendererTest, AnAlphaPlaneAloneHasNoColours) {
    ASSERT_TRUE(create(0, 4, 4, true));
    ASSERT_TRUE(feed(copy_picture(0x999999, 4)));
    ASSERT_TRUE(feed(copy_picture(0x888888, 4)));  // its place is taken by what comes next
    const std::vector<std::uint32_t> pixels(16, 0xff000000);
    codec::PictureView picture;
    picture.format = codec::PixelFormat::bgra32;
    picture.width = picture.height = 4;
    picture.rows = reinterpret_cast<const std::uint8_t*>(pixels.data());
    picture.stride = 16;
    Bytes packed;
    ASSERT_TRUE(codec::LzEncoder().encode_alpha(picture, packed));
    display::DrawCopy message = copy_picture(0, 4);
    display::BinaryData data;
    data.data.append(wire::SharedBytes::take(std::move(packed)));
    message.source.data = data;
    ASSERT_TRUE(feed(message));
    EXPECT_EQ(shown_pixel(2, 2) & 0xffffff, 0u);
}

TEST_F(RendererTest, UnknownAndDoubleSurfacesAreErrors) {
    EXPECT_EQ(feed(fill(3, {0, 0, 1, 1}, 0)).error().code, ErrorCode::protocol);
    EXPECT_EQ(feed(display::SurfaceDestroy{3}).error().code, ErrorCode::protocol);
    ASSERT_TRUE(create(3, 1, 1, false));
    EXPECT_EQ(create(3, 1, 1, true).error().code, ErrorCode::protocol);
    // By a server that forgot that we have it: it means a new one.
    ASSERT_TRUE(create(3, 2, 2, false));
    EXPECT_EQ((*renderer_.surfaces().find(3))->width(), 2);
}

TEST_F(RendererTest, TheDisplaysOfASessionShareOneBoundOfPixels) {
    Renderer other(shared_);
    ASSERT_TRUE(create(0, 8192, 8192, false));
    {
        Renderer third(shared_);
        ASSERT_TRUE(third.surfaces().create(0, canvas::Format::xrgb32, 8192, 8192, false));
        EXPECT_EQ(other.surfaces().create(0, canvas::Format::xrgb32, 1, 1, false).error().code,
                  ErrorCode::limit_exceeded);
    }
    EXPECT_TRUE(other.surfaces().create(0, canvas::Format::xrgb32, 1, 1, false))
        << "a display that goes gives back what it had";
}

// By a server that was not told what the client has of another one.
TEST_F(RendererTest, ThePrimarySurfaceMayBeAnnouncedAgain) {
    ASSERT_TRUE(create(0, 20, 10, true));
    ASSERT_TRUE(feed(fill(0, {2, 1, 5, 4}, 0xabcdef)));
    ASSERT_TRUE(create(0, 20, 10, true));
    EXPECT_EQ(shown_pixel(1, 2), 0xabcdefu) << "as it was: it keeps its pixels";
    ASSERT_TRUE(create(0, 30, 10, true));
    EXPECT_EQ(shown_pixel(1, 2), 0u);
    EXPECT_EQ(renderer_.surfaces().take_damage().extents(), (canvas::Rect{0, 0, 30, 10}));
    EXPECT_FALSE(create(0, 30, 10, false));
}

TEST_F(RendererTest, SurfacesAreBoundedTogether) {
    std::uint32_t id = 0;
    Result<> result;
    while (id < 100 && (result = create(id, 8192, 8192, false)))
        ++id;
    EXPECT_EQ(result.error().code, ErrorCode::limit_exceeded);
    EXPECT_EQ(id, SurfaceBudget::kMaxPixels / (8192 * 8192));
}

TEST_F(RendererTest, CachedPicturesComeBackUntilTheyAreInvalid) {
    ASSERT_TRUE(create(0, 1, 1, true));
    ASSERT_TRUE(feed(copy_pixel(0x111111, display::ImageFlags::cache_me, 42)));
    ASSERT_TRUE(feed(fill(0, {0, 0, 1, 1}, 0)));
    display::DrawCopy again = copy_pixel(0, {}, 42);
    again.source.type = display::ImageType::from_cache;
    again.source.data = std::monostate{};
    ASSERT_TRUE(feed(again));
    EXPECT_EQ(shown_pixel(0, 0), 0x111111u);
    display::InvalList gone;
    gone.resources.push_back({display::ResourceType::pixmap, 42});
    ASSERT_TRUE(feed(gone));
    EXPECT_EQ(feed(again).error().code, ErrorCode::protocol);
}

TEST_F(RendererTest, TheImageCacheIsBounded) {
    ImageCache cache(100);
    Result<> result;
    std::uint64_t id = 0;
    while (id < 1000 &&
           (result =
                cache.put(id, std::make_shared<const canvas::Image>(
                                  canvas::Image::create(canvas::Format::a1, 4096, 4096).value()))))
        ++id;
    EXPECT_EQ(result.error().code, ErrorCode::limit_exceeded);
    EXPECT_EQ(id, 1u) << "one may come before the other goes";
    cache.erase(0);
    EXPECT_EQ(cache.pixels(), 0);
}

// A picture of one pixel takes two hundred bytes.
TEST_F(RendererTest, TheImageCacheIsBoundedInPictures) {
    ImageCache cache(std::int64_t{1} << 40);
    const auto dot = std::make_shared<const canvas::Image>(
        canvas::Image::create(canvas::Format::xrgb32, 1, 1).value());
    for (std::uint64_t id = 0; id < ImageCache::kMaxImages; ++id)
        ASSERT_TRUE(cache.put(id, dot));
    ASSERT_TRUE(cache.put(0, dot)) << "in the place of another";
    EXPECT_EQ(cache.put(ImageCache::kMaxImages, dot).error().code, ErrorCode::limit_exceeded);
    cache.erase(7);
    EXPECT_TRUE(cache.put(ImageCache::kMaxImages, dot));
}

TEST_F(RendererTest, ASwitchKeepsThePictureUntilTheNewOneIsComplete) {
    ASSERT_TRUE(create(0, 4, 4, true));
    ASSERT_TRUE(feed(fill(0, {0, 0, 4, 4}, 0x1)));
    renderer_.reset(true);
    EXPECT_EQ(shown_pixel(0, 0), 0x1u);
    // The new server goes through another mode first, as stock's does, and on a busy host it has
    // the time to paint it.
    ASSERT_TRUE(create(0, 2, 2, true));
    ASSERT_TRUE(feed(fill(0, {0, 0, 2, 2}, 0x3)));
    EXPECT_EQ(renderer_.surfaces().shown()->width(), 4);
    EXPECT_TRUE(renderer_.surfaces().is_waiting_for_picture());
    ASSERT_TRUE(feed(display::SurfaceDestroy{0}));
    ASSERT_TRUE(create(0, 4, 4, true));
    ASSERT_TRUE(feed(fill(0, {0, 0, 2, 4}, 0x2)));
    EXPECT_EQ(shown_pixel(0, 0), 0x1u);
    EXPECT_TRUE(renderer_.surfaces().take_damage().empty());
    ASSERT_TRUE(feed(fill(0, {2, 0, 4, 4}, 0x2)));
    EXPECT_EQ(shown_pixel(0, 0), 0x2u);
    EXPECT_EQ(renderer_.surfaces().take_damage().extents(), (canvas::Rect{0, 0, 4, 4}));
}

TEST_F(RendererTest, ABoundCompletesThePicture) {
    ASSERT_TRUE(create(0, 4, 4, true));
    renderer_.reset(true);
    ASSERT_TRUE(create(0, 8, 8, true));
    EXPECT_EQ(renderer_.surfaces().shown()->width(), 4);
    renderer_.surfaces().complete();
    EXPECT_EQ(renderer_.surfaces().shown()->width(), 8);
}

TEST_F(RendererTest, AChannelThatIsGoneShowsNothing) {
    ASSERT_TRUE(create(0, 4, 4, true));
    renderer_.reset(false);
    EXPECT_EQ(renderer_.surfaces().shown(), nullptr);
}

TEST_F(RendererTest, UnknownStreamsAndCodecsAreErrors) {
    EXPECT_FALSE(feed(display::StreamDestroy{3}));
    EXPECT_FALSE(feed(display::StreamData{3, 0, {}}));
    display::StreamCreate create_stream;
    create_stream.codec = display::VideoCodec::vp8;
    EXPECT_EQ(feed(create_stream).error().code, ErrorCode::no_support);
}

}  // namespace
}  // namespace segue::spice::client
