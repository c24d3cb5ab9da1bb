// SPDX-License-Identifier: LGPL-2.1-or-later
#include <gtest/gtest.h>

#include <cmath>

#include "spice/server/chardev/fake_char_device.h"
#include "spice/server/sound/sound_devices.h"

namespace segue::spice::server {
namespace {

namespace playback = wire::playback;
namespace record = wire::record;
using wire::AudioDataMode;
using wire::SharedBytes;

// A tone of 440 Hz on both channels.
std::vector<SoundFrame> tone(std::size_t frames) {
    std::vector<SoundFrame> made(frames);
    for (std::size_t at = 0; at < frames; ++at) {
        const double turn = 2 * M_PI * 440 * static_cast<double>(at) / codec::kOpusFrequency;
        const auto sample = static_cast<std::uint16_t>(static_cast<int>(10000 * std::sin(turn)));
        made[at] = sample | static_cast<SoundFrame>(sample) << 16;
    }
    return made;
}
// How often the left channel crosses zero upward.
std::size_t waves(std::span<const SoundFrame> frames) {
    std::size_t count = 0;
    bool below = false;
    for (const SoundFrame frame : frames) {
        const auto sample = static_cast<std::int16_t>(frame & 0xffff);
        if (sample < -1000) below = true;
        if (sample > 1000 && std::exchange(below, false)) ++count;
    }
    return count;
}

class SoundTest : public testing::Test {
  protected:
    std::unique_ptr<Channel> link(wire::ChannelType type, wire::Capabilities caps,
                                  bool compress = true) {
        ChannelSetup setup;
        setup.key.type = type;
        setup.client_caps = std::move(caps);
        auto made = devices_.make_channel(setup, output_, compress);
        made->start();
        return made;
    }
    static void put(Playback& device, std::span<const SoundFrame> frames) {
        const std::span<SoundFrame> buffer = device.get_buffer();
        ASSERT_EQ(buffer.size(), frames.size());
        std::copy(frames.begin(), frames.end(), buffer.begin());
        device.put_samples(buffer.data());
    }

    std::uint32_t time_ = 1234;
    std::vector<ChannelKey> added_;
    std::vector<ChannelKey> gone_;
    SoundDevices devices_{{[this] { return time_; },
                           [this](ChannelKey key) { added_.push_back(key); },
                           [this](ChannelKey key) { gone_.push_back(key); }}};
    FakeOutput output_;
};

TEST_F(SoundTest, RawSoundIsHeardAsItWas) {
    Playback* device = devices_.add_playback().value();
    EXPECT_TRUE(device->get_buffer().empty());  // nobody listens
    const std::vector<std::uint16_t> loud = {1000, 2000};
    device->set_volume(loud);
    device->set_mute(true);
    device->set_rate(44100);  // no rate of Opus
    auto channel =
        link(wire::ChannelType::playback,
             wire::Capabilities::of({playback::Capability::volume, playback::Capability::opus}));
    EXPECT_EQ(output_.take<playback::Volume>()->volume, loud);
    EXPECT_TRUE(output_.take<playback::Mute>()->mute);
    device->start();
    EXPECT_EQ(output_.take<playback::Mode>()->mode, AudioDataMode::raw);
    const auto start = output_.take<playback::Start>();
    ASSERT_TRUE(start);
    EXPECT_EQ(start->frequency, 44100u);
    EXPECT_EQ(start->channels, 2u);
    EXPECT_EQ(start->time, 1234u);
    const auto frames = tone(codec::kOpusFrames);
    put(*device, frames);
    const auto data = output_.take<playback::Data>();
    ASSERT_TRUE(data);
    EXPECT_EQ(data->data.contiguous().size(), codec::kOpusFrames * 4);
    EXPECT_EQ(std::memcmp(data->data.contiguous().data(), frames.data(), codec::kOpusFrames * 4),
              0);
    device->stop();
    EXPECT_TRUE(output_.take<playback::Stop>());
    EXPECT_TRUE(device->get_buffer().empty());
    channel.reset();
    devices_.remove(device);
    EXPECT_EQ(gone_, added_);
}

TEST_F(SoundTest, LatencyIsToldToThoseWhoKnowIt) {
    devices_.add_playback().value();
    const auto say = [&](const wire::Capabilities& capabilities) {
        const auto channel = link(wire::ChannelType::playback, capabilities);
        static_cast<PlaybackChannel&>(*channel).say_latency(120);
    };
    say({});
    EXPECT_FALSE(output_.take<playback::Latency>());
    say(wire::Capabilities::of({playback::Capability::latency}));
    EXPECT_EQ(output_.take<playback::Latency>()->latency_ms, 120u);
}

// spice-gtk begins each time with a latency of its own.
TEST_F(SoundTest, LatencyIsToldAgainWhenSoundBegins) {
    Playback* device = devices_.add_playback().value();
    const auto caps = wire::Capabilities::of({playback::Capability::latency});
    const auto channel = link(wire::ChannelType::playback, caps);
    EXPECT_FALSE(channel->carried_state(true)) << "nothing was told";
    static_cast<PlaybackChannel&>(*channel).say_latency(120);
    output_.messages.clear();
    device->start();
    while (!output_.messages.empty() &&
           output_.messages.front().number != playback::Start::kFromServer)
        output_.messages.pop_front();
    EXPECT_EQ(output_.take<playback::Latency>()->latency_ms, 120u);
}

TEST_F(SoundTest, LatencyGoesBesideTheClient) {
    Playback* device = devices_.add_playback().value();
    const auto caps = wire::Capabilities::of({playback::Capability::latency});
    const auto channel = link(wire::ChannelType::playback, caps);
    static_cast<PlaybackChannel&>(*channel).say_latency(120);
    const auto told = channel->carried_state(true);
    ASSERT_TRUE(told);
    ChannelSetup setup;
    setup.key.type = wire::ChannelType::playback;
    setup.client_caps = caps;
    setup.expects_data = true;
    for (const bool has_measured : {false, true}) {
        const auto target = devices_.make_channel(setup, output_, true);
        target->start();
        if (has_measured) static_cast<PlaybackChannel&>(*target).say_latency(90);
        EXPECT_FALSE(target->take_state(SharedBytes::copy(ByteView(*told).subspan(1))));
        ASSERT_TRUE(target->take_state(SharedBytes::copy(*told)));
        output_.messages.clear();
        static_cast<PlaybackChannel&>(*target).say_start();
        EXPECT_EQ(output_.take<playback::Latency>()->latency_ms, has_measured ? 90u : 120u);
    }
    devices_.remove(device);
}

TEST_F(SoundTest, OpusKeepsTheTone) {
    Playback* device = devices_.add_playback().value();
    device->start();
    auto channel =
        link(wire::ChannelType::playback, wire::Capabilities::of({playback::Capability::opus}));
    EXPECT_EQ(output_.take<playback::Mode>()->mode, AudioDataMode::opus);
    const auto frames = tone(codec::kOpusFrames * 50);
    auto decoder = std::move(codec::SoundDecoder::make(kSoundChannels).value());
    std::vector<SoundFrame> heard;
    std::size_t bytes = 0;
    for (std::size_t at = 0; at < frames.size(); at += codec::kOpusFrames) {
        put(*device, std::span(frames).subspan(at, codec::kOpusFrames));
        const SharedBytes packet = output_.take<playback::Data>()->data.contiguous();
        bytes += packet.size();
        const auto part = decoder.decode(packet.view()).value();
        std::vector<SoundFrame> frame(part.size() / 2);
        std::memcpy(frame.data(), part.data(), part.size() * 2);
        heard.insert(heard.end(), frame.begin(), frame.end());
    }
    EXPECT_EQ(heard.size(), frames.size());
    EXPECT_NEAR(static_cast<double>(waves(heard)), 220, 3);  // half a second of 440 Hz
    EXPECT_LT(bytes, frames.size() * 4 / 5);
    // Off, or a client that cannot: as it is.
    auto plain = link(wire::ChannelType::playback,
                      wire::Capabilities::of({playback::Capability::opus}), false);
    EXPECT_EQ(output_.take<playback::Mode>()->mode, AudioDataMode::raw);
}

TEST_F(SoundTest, ASlowClientMissesSoundAndNothingIsKept) {
    Playback* device = devices_.add_playback().value();
    device->start();
    auto channel = link(wire::ChannelType::playback, {});
    output_.messages.clear();
    output_.blocked = true;
    for (int count = 0; count < 100; ++count)
        put(*device, tone(codec::kOpusFrames));
    EXPECT_TRUE(output_.messages.empty());
    output_.blocked = false;
    put(*device, tone(codec::kOpusFrames));
    EXPECT_EQ(output_.messages.size(), 1u);
    EXPECT_FALSE(channel->receive(from_client(wire::record::StartMark{})));
}

TEST_F(SoundTest, TheGuestHearsWhatTheClientSays) {
    Record* device = devices_.add_record().value();
    auto channel = link(wire::ChannelType::record, {});
    device->start();
    EXPECT_EQ(output_.take<record::Start>()->frequency, codec::kOpusFrequency);
    const auto frames = tone(Record::kMostFrames / 2);
    record::Data data;
    data.data = SharedBytes::copy(
        {reinterpret_cast<const std::uint8_t*>(frames.data()), frames.size() * 4});
    std::vector<SoundFrame> heard(Record::kMostFrames);
    EXPECT_EQ(device->get_samples(heard), 0u);
    ASSERT_TRUE(channel->receive(from_client(data)));
    EXPECT_EQ(device->get_samples(heard), frames.size());
    EXPECT_TRUE(std::equal(frames.begin(), frames.end(), heard.begin()));
    // More than there is room for: the newest stay.
    for (int count = 0; count < 5; ++count)
        ASSERT_TRUE(channel->receive(from_client(data)));
    EXPECT_EQ(device->get_samples(heard), Record::kMostFrames);
    data.data = SharedBytes::take(Bytes(3));
    EXPECT_FALSE(channel->receive(from_client(data)));
    device->stop();
    EXPECT_TRUE(output_.take<record::Stop>());
}

TEST_F(SoundTest, TheGuestHearsOpusAndOtherCodecsAreRefused) {
    Record* device = devices_.add_record().value();
    device->start();
    auto channel = link(wire::ChannelType::record, {});
    record::Mode mode;
    mode.mode = AudioDataMode::opus;
    ASSERT_TRUE(channel->receive(from_client(mode)));
    auto encoder = std::move(codec::SoundEncoder::make(kSoundChannels).value());
    const auto frames = tone(codec::kOpusFrames * 10);
    for (std::size_t at = 0; at < frames.size(); at += codec::kOpusFrames) {
        record::Data data;
        data.data = SharedBytes::take(
            encoder.encode(samples_of(std::span(frames).subspan(at, codec::kOpusFrames))).value());
        ASSERT_TRUE(channel->receive(from_client(data)));
    }
    std::vector<SoundFrame> heard(frames.size());
    ASSERT_EQ(device->get_samples(heard), frames.size());
    EXPECT_NEAR(static_cast<double>(waves(heard)), 44, 3);
    record::Data empty;
    EXPECT_FALSE(channel->receive(from_client(empty)));
    mode.mode = AudioDataMode::celt_0_5_1;
    EXPECT_FALSE(channel->receive(from_client(mode)));
}

}  // namespace
}  // namespace segue::spice::server
