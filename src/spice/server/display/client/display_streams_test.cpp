// SPDX-License-Identifier: LGPL-2.1-or-later
#include <gmock/gmock.h>

#include "spice/server/display/client/display_blob.h"
#include "spice/server/display/client/display_channel_fixture.h"

namespace segue::spice::server {
namespace {

struct SteppedClock final : Clock {
    Instant now() const override { return at; }
    std::chrono::system_clock::time_point wall() const override { return {}; }
    Instant at{};
};

struct DisplayStreamsTest : DisplayChannelTest {
    static constexpr std::int32_t kSide = 100;
    SteppedClock stepped;
    std::vector<Duration> leads;

    void SetUp() override {
        DisplayChannelTest::SetUp();
        guest_->destroy_primary(0);
        create_primary(128, 128);
        ChannelSetup setup;
        setup.key = {wire::ChannelType::display, 0};
        setup.client_caps = wire::Capabilities::of({display::Capability::stream_report});
        channel_ =
            std::make_unique<DisplayChannel>(setup, output_, *guest_, options_, caches_, stepped);
        channel_->start();
        channel_->on_video_lead = [this](Duration lead) { leads.push_back(lead); };
        init();
    }
    // The client tells that it was late, and that it dropped frames.
    void report(std::uint32_t drops) {
        display::StreamReport report;
        report.stream_id = sent<display::StreamCreate>().at(0).id;
        report.unique_id = sent<display::StreamActivateReport>().at(0).unique_id;
        report.frames = 5;
        report.drops = drops;
        report.last_frame_delay = -20;
        ASSERT_TRUE(channel_->receive(from_client(report)));
    }
    StreamRate::Pace carried_pace() {
        const auto state = channel_->carried_state(false);
        const auto read = read_display_blob(wire::SharedBytes::copy(state.value()));
        return read.value().knowledge.streams.at(0).pace;
    }
    void play(unsigned frames) {
        const QXLPHYSICAL images[] = {put_image(0, 0, kSide, kSide, 1, true),
                                      put_image(0, 0, kSide, kSide, 2, true)};
        for (unsigned frame = 0; frame < frames; ++frame) {
            stepped.at = stepped.at + 40ms;
            copy(images[frame % 2], 10, 10, kSide, kSide);
            channel_->pump();
        }
    }
    template <class Message>
    std::vector<Message> sent() {
        std::vector<Message> found;
        for (const wire::IncomingMessage& message : output_.messages) {
            if (message.number == Message::kFromServer)
                found.push_back(wire::parse<Message>(message.body).value());
        }
        return found;
    }
};

TEST_F(DisplayStreamsTest, AVideoIsFoundAndItsLeadIsTold) {
    play(VideoAreas::kFrames);
    const auto created = sent<display::StreamCreate>();
    ASSERT_EQ(created.size(), 1u);
    EXPECT_EQ(created[0].destination.left, 10);
    EXPECT_EQ(created[0].stream_width, static_cast<std::uint32_t>(kSide));
    ASSERT_THAT(leads, testing::ElementsAre(80ms));
    play(3);
    EXPECT_EQ(sent<display::StreamData>().size(), 3u);

    // Late at the client: the next come earlier, and the sound is to wait.
    display::StreamReport report;
    report.stream_id = created[0].id;
    report.unique_id = sent<display::StreamActivateReport>().at(0).unique_id;
    report.frames = 5;
    report.last_frame_delay = -20;
    ASSERT_TRUE(channel_->receive(from_client(report)));
    EXPECT_THAT(leads, testing::ElementsAre(80ms, 120ms));
    report.last_frame_delay = 10;
    ASSERT_TRUE(channel_->receive(from_client(report)));
    EXPECT_EQ(leads.size(), 2u);
}

// Another server goes on with it as this one had found that the client can take it: at once, and
// whether the state goes beside the client or through it.
TEST_F(DisplayStreamsTest, AVideoGoesOnAsGoodAndAsOftenElsewhere) {
    play(VideoAreas::kFrames);
    // Below the least quality the pace gives way.
    for (int late = 0; late < 8; ++late)
        report(5);
    const StreamRate::Pace pace = carried_pace();
    EXPECT_EQ(pace.level, 0);
    EXPECT_GT(pace.interval, 100ms);
    EXPECT_EQ(pace.lead, 400ms);
    channel_->migrate();
    const auto data = sent<wire::common::MigrateData>().at(0);
    const auto through_client = wire::SharedBytes::copy(data.data.contiguous().view());

    output_.messages.clear();
    leads.clear();
    ChannelSetup setup;
    setup.key = {wire::ChannelType::display, 0};
    setup.expects_data = true;
    channel_ =
        std::make_unique<DisplayChannel>(setup, output_, *guest_, options_, caches_, stepped);
    channel_->start();
    channel_->on_video_lead = [this](Duration lead) { leads.push_back(lead); };
    ASSERT_TRUE(channel_->take_state(through_client));
    EXPECT_EQ(sent<display::StreamCreate>().size(), 1u) << "before its first frame";
    EXPECT_THAT(leads, testing::ElementsAre(400ms));
    EXPECT_EQ(carried_pace(), pace);
    play(1);
    EXPECT_EQ(sent<display::StreamData>().size(), 1u);
    play(2);
    EXPECT_EQ(sent<display::StreamData>().size(), 1u) << "no more often than there";
}

// The state that goes beside the client names them, and the serial that follows them.
TEST_F(DisplayStreamsTest, AVideoOfAFrozenScreenDoesNotEnd) {
    play(VideoAreas::kFrames);
    ASSERT_EQ(sent<display::StreamCreate>().size(), 1u);
    ASSERT_TRUE(channel_->carried_state(true));
    output_.messages.clear();
    stepped.at = stepped.at + 2s;
    channel_->rest();
    EXPECT_TRUE(output_.messages.empty());
    channel_->thaw();
    channel_->rest();
    EXPECT_EQ(sent<display::StreamDestroy>().size(), 1u);
}

}  // namespace
}  // namespace segue::spice::server
