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

}  // namespace
}  // namespace segue::spice::client
