// SPDX-License-Identifier: LGPL-2.1-or-later
// The display channel between its two threads: the one that answers the server never decodes.
#include "spice/client/display_channel.h"

#include <gtest/gtest.h>

namespace segue::spice::client {
namespace {

namespace display = wire::display;

// Keeps what the drawing thread would do.
struct HeldDrawing final : DrawingQueue {
    void post(std::function<void()> job) override { jobs.push_back(std::move(job)); }
    void run() {
        for (const auto& job : std::exchange(jobs, {}))
            job();
    }
    std::vector<std::function<void()>> jobs;
};

struct Host final : ChannelHost {
    void on_migrate(ChannelKey, wire::common::MigrateFlags) override {}
    void on_ready_to_move(ChannelKey) override {}
    bool is_done(const wire::WaitForChannel&) override { return true; }
    void on_disconnecting(ChannelKey, wire::LinkError) override {}
};

class DisplayChannelTest : public testing::Test {
  protected:
    DisplayChannelTest() {
        channel_.attach([this](wire::EncodedMessage message) { sent_.push_back(message.number); },
                        {}, true);
        sent_.clear();
    }
    template <class Message>
    void feed(const Message& message) {
        const wire::EncodedMessage encoded = wire::encode_from_server(message);
        ASSERT_TRUE(
            channel_.receive({encoded.number, ++serial_, wire::SharedBytes::take(encoded.body())}));
    }
    std::uint32_t shown_width() {
        std::uint32_t width = 0;
        channel_.painter().look([&](const canvas::Image* image) {
            if (image != nullptr) width = static_cast<std::uint32_t>(image->width());
        });
        return width;
    }

    std::unique_ptr<RunLoop> loop_ = make_asio_loop();
    HeldDrawing drawing_;
    Settings settings_;
    MediaClock clock_;
    Host host_;
    DisplayChannel channel_{{wire::ChannelType::display, 0},
                            host_,
                            settings_,
                            *loop_,
                            drawing_,
                            std::make_shared<SharedCaches>(1 << 20, 1 << 20),
                            clock_,
                            [](ChannelKey, const DisplayNews&) {}};
    std::vector<std::uint16_t> sent_;
    std::uint64_t serial_ = 0;
};

TEST_F(DisplayChannelTest, APingIsAnsweredWhilePicturesWaitToBeDrawn) {
    feed(wire::common::SetAck{1, 2});
    sent_.clear();
    feed(display::SurfaceCreate{0, 3840, 2160, display::SurfaceFormat::xrgb32,
                                display::SurfaceFlags::primary});
    display::DrawFill fill;
    fill.base.box = {0, 0, 3840, 2160};
    fill.brush.type = display::BrushType::solid;
    fill.rop = display::Ropd::op_put;
    for (int count = 0; count < 20; ++count)
        feed(fill);
    EXPECT_GE(drawing_.jobs.size(), 1u);
    EXPECT_EQ(shown_width(), 0u) << "nothing was drawn on this thread";
    sent_.clear();
    feed(wire::common::Ping{5, 6, {}});
    EXPECT_EQ(std::count(sent_.begin(), sent_.end(), wire::common::Pong::kFromClient), 1);
    drawing_.run();
    EXPECT_EQ(shown_width(), 3840u);
}

TEST_F(DisplayChannelTest, AServerThatOutrunsTheDrawingIsNotAcknowledged) {
    feed(wire::common::SetAck{1, 1});
    sent_.clear();
    feed(display::SurfaceCreate{0, 8, 8, display::SurfaceFormat::xrgb32,
                                display::SurfaceFlags::primary});
    for (int count = 0; count < 3000; ++count)
        feed(display::Mark{});
    const auto acknowledged =
        std::count(sent_.begin(), sent_.end(), wire::common::Ack::kFromClient);
    EXPECT_LT(acknowledged, 1100) << "what waits to be drawn is bounded";
    EXPECT_GT(acknowledged, 0);
    EXPECT_TRUE(channel_.is_overwhelmed()) << "a server that goes on all the same is not read";
    drawing_.run();
    loop_->post([this] { loop_->stop(); });
    loop_->run();
    EXPECT_FALSE(channel_.is_overwhelmed());
}

TEST_F(DisplayChannelTest, WhatWaitsToBeDrawnIsNotHandled) {
    feed(display::SurfaceCreate{0, 8, 8, display::SurfaceFormat::xrgb32,
                                display::SurfaceFlags::primary});
    feed(display::Mark{});
    feed(wire::common::Ping{5, 6, {}});
    EXPECT_EQ(channel_.handled_serial(), 0u);
    drawing_.run();
    loop_->post([this] { loop_->stop(); });
    loop_->run();
    EXPECT_EQ(channel_.handled_serial(), 3u);
}

// Two displays of one session, drawn at once: a picture of one may need one of the other.
class TwoDisplaysTest : public testing::Test {
  protected:
    struct One {
        One(TwoDisplaysTest& test, std::uint8_t id)
            : channel({wire::ChannelType::display, id}, test.host_, test.settings_, *test.loop_,
                      test.drawing_, test.caches_, test.clock_,
                      [](ChannelKey, const DisplayNews& news) { EXPECT_FALSE(news.error); }) {
            channel.attach([](wire::EncodedMessage) {}, {}, true);
            feed(display::SurfaceCreate{0, 8, 8, display::SurfaceFormat::xrgb32,
                                        display::SurfaceFlags::primary});
        }
        template <class Message>
        void feed(const Message& message) {
            const wire::EncodedMessage encoded = wire::encode_from_server(message);
            ASSERT_TRUE(channel.receive(
                {encoded.number, ++serial, wire::SharedBytes::take(encoded.body())}));
        }
        // One line of 8 pixels, the session's picture `id`; the body is GLZ's.
        void feed_glz(std::uint64_t id, std::uint32_t window, ByteView body) {
            BigWriter out;
            out.u32(0x20205a4c), out.u32(0x00010001);
            out.u8(0x18);  // 32 bits, the top line first
            out.u32(8), out.u32(1), out.u32(32);
            out.u64(id), out.u32(window);
            out.bytes(body);
            display::BinaryData data;
            data.data.append(wire::SharedBytes::take(out.take()));
            feed(copy(display::ImageType::glz_rgb, 100 + id, 8, data));
        }
        template <class Data>
        static display::DrawCopy copy(display::ImageType type, std::uint64_t id,
                                      std::uint32_t width, const Data& data) {
            display::DrawCopy message;
            message.base.box = message.source_area = {0, 0, 1, 1};
            message.rop = display::Ropd::op_put;
            message.source.type = type;
            message.source.id = id;
            message.source.width = width;
            message.source.height = 1;
            message.source.data = data;
            return message;
        }

        DisplayChannel channel;
        std::uint64_t serial = 0;
    };
    void deliver_news() {
        loop_->post([this] { loop_->stop(); });
        loop_->run();
    }

    std::unique_ptr<RunLoop> loop_ = make_asio_loop();
    InlineDrawing drawing_;
    Settings settings_;
    MediaClock clock_;
    Host host_;
    std::shared_ptr<SharedCaches> caches_ = std::make_shared<SharedCaches>(1 << 20, 1 << 20);
    One one_{*this, 0};
    One other_{*this, 1};
};

Bytes glz_literals() {
    Bytes body(25, 0x55);
    body[0] = 7;  // eight pixels follow
    return body;
}

// One pixel of the picture before, then seven literals.
Bytes glz_reference() {
    Bytes body(25, 0x66);
    const Bytes head = {0x20, 0x00, 0x01, 6};
    std::copy(head.begin(), head.end(), body.begin());
    return body;
}

TEST_F(TwoDisplaysTest, WhatWaitsForAPictureOfTheOtherIsNotHandled) {
    display::BitmapData pixel;
    pixel.format = display::BitmapFormat::thirty_two_bit;
    pixel.flags = display::BitmapFlags::top_down;
    pixel.width = pixel.height = 1;
    pixel.stride = 4;
    pixel.data.append(wire::SharedBytes::take(Bytes(4, 0xff)));
    auto kept = One::copy(display::ImageType::bitmap, 42, 1, pixel);
    kept.source.flags = display::ImageFlags::cache_me;
    one_.feed(kept);
    one_.feed_glz(1, 1, glz_reference());
    one_.feed(One::copy(display::ImageType::from_cache, 42, 1, std::monostate{}));
    deliver_news();
    EXPECT_EQ(one_.channel.handled_serial(), 2u) << "the surface and the bitmap";
    // Had the other display believed more, it would throw away what the third drawing needs.
    other_.feed_glz(0, 0, glz_literals());
    deliver_news();
    EXPECT_EQ(one_.channel.handled_serial(), 4u);
    EXPECT_EQ(other_.channel.handled_serial(), 2u);
}

TEST_F(TwoDisplaysTest, WhatIsForgottenWhileItWaitsIsCountedOnce) {
    one_.feed_glz(1, 1, glz_reference());
    one_.channel.reset(ResetReason::fresh);
    deliver_news();
    one_.channel.attach([](wire::EncodedMessage) {}, {}, true);
    one_.serial = 0;
    one_.feed(display::SurfaceCreate{0, 8, 8, display::SurfaceFormat::xrgb32,
                                     display::SurfaceFlags::primary});
    one_.feed_glz(1, 1, glz_reference());
    deliver_news();
    EXPECT_EQ(one_.channel.handled_serial(), 1u);
}

}  // namespace
}  // namespace segue::spice::client
