// SPDX-License-Identifier: LGPL-2.1-or-later
// Sound and device channels, with the test in the server's place.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "spice/client/devices/smartcard_channel.h"
#include "spice/client/devices/stream_channel.h"
#include "spice/client/media_clock.h"
#include "spice/client/sound/playback_channel.h"
#include "spice/client/sound/record_channel.h"
#include "spice/codec/lz4_codec.h"

namespace segue::spice::client {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using wire::AudioDataMode;
using wire::AudioFormat;

struct Owner final : ChannelHost, SoundListener, StreamListener, SmartcardListener {
    void on_migrate(ChannelKey, wire::common::MigrateFlags) override {}
    void on_ready_to_move(ChannelKey) override {}
    bool is_done(const wire::WaitForChannel&) override { return true; }
    void on_disconnecting(ChannelKey, wire::LinkError) override {}

    void on_sound_start(const SoundFormat&) override { log += "start "; }
    void on_sound_stop() override { log += "stop "; }
    void on_sound(std::span<const std::int16_t> samples, std::uint32_t) override {
        heard += samples.size();
    }
    void on_record_start(const SoundFormat&) override { log += "record "; }
    void on_record_stop() override { log += "silence "; }
    void on_stream_data(ChannelKey, ByteView bytes) override { data += as_text(bytes); }
    void on_port(ChannelKey, const std::string& name, bool open) override {
        log += name + (open ? "+ " : "- ");
    }
    void on_card_message(wire::smartcard::VscType, std::uint32_t, ByteView) override {
        log += "card ";
    }

    std::string log;
    std::string data;
    std::size_t heard = 0;
};

class DevicesTest : public testing::Test {
  protected:
    template <class Capability>
    void attach(Channel& channel, std::initializer_list<Capability> server, bool anew = true) {
        channel.attach([this](wire::EncodedMessage message) { sent_.push_back(message); },
                       wire::Capabilities::of(server), anew);
    }
    template <class Message>
    Result<> feed(Channel& channel, const Message& message) {
        const wire::EncodedMessage encoded = wire::encode_from_server(message);
        return channel.receive(
            {encoded.number, ++serial_, wire::SharedBytes::take(encoded.body())});
    }
    std::vector<std::uint16_t> numbers() {
        std::vector<std::uint16_t> result;
        for (const auto& message : std::exchange(sent_, {}))
            result.push_back(message.number);
        return result;
    }

    Owner owner_;
    std::vector<wire::EncodedMessage> sent_;
    std::uint64_t serial_ = 0;
};

// --- Sound from the guest ------------------------------------------------------------------------

class PlaybackTest : public DevicesTest {
  protected:
    void SetUp() override { attach<wire::playback::Capability>(channel_, {}); }
    PlaybackChannel channel_{{wire::ChannelType::playback, 0}, owner_, owner_};
};

TEST_F(PlaybackTest, RawSamplesComeInWholeFrames) {
    ASSERT_TRUE(feed(channel_, wire::playback::Start{2, AudioFormat::s16, 44100, 0}));
    ASSERT_TRUE(
        feed(channel_, wire::playback::Data{5, wire::SharedBytes::take(Bytes(4 * 10 + 3))}));
    EXPECT_EQ(owner_.heard, 20u);
    ASSERT_TRUE(feed(channel_, wire::playback::Stop{}));
    EXPECT_EQ(owner_.log, "start stop ");
}

TEST_F(PlaybackTest, OpusIsDecoded) {
    auto encoder = codec::SoundEncoder::make(2).value();
    const std::vector<std::int16_t> samples(2 * codec::kOpusFrames, 1000);
    ASSERT_TRUE(feed(channel_, wire::playback::Mode{0, AudioDataMode::opus, {}}));
    ASSERT_TRUE(feed(channel_, wire::playback::Start{2, AudioFormat::s16, 48000, 0}));
    const Bytes packet = encoder.encode(samples).value();
    ASSERT_TRUE(feed(channel_, wire::playback::Data{5, wire::SharedBytes::copy(packet)}));
    EXPECT_EQ(owner_.heard, samples.size());
    EXPECT_FALSE(feed(channel_, wire::playback::Data{5, wire::SharedBytes::take(Bytes(3, 255))}));
}

TEST_F(PlaybackTest, ADisconnectStopsAndForgetsTheCodec) {
    ASSERT_TRUE(feed(channel_, wire::playback::Mode{0, AudioDataMode::opus, {}}));
    ASSERT_TRUE(feed(channel_, wire::playback::Start{2, AudioFormat::s16, 48000, 0}));
    channel_.reset(ResetReason::switching);
    EXPECT_EQ(owner_.log, "start stop ");
    attach<wire::playback::Capability>(channel_, {});
    ASSERT_TRUE(feed(channel_, wire::playback::Start{1, AudioFormat::s16, 8000, 0}));
    ASSERT_TRUE(feed(channel_, wire::playback::Data{5, wire::SharedBytes::take(Bytes(64))}));
    EXPECT_EQ(owner_.heard, 32u) << "raw again";
}

TEST_F(PlaybackTest, ASeamlessMovePlaysOn) {
    ASSERT_TRUE(feed(channel_, wire::playback::Start{2, AudioFormat::s16, 48000, 0}));
    channel_.begin_move({});
    attach<wire::playback::Capability>(channel_, {}, false);
    ASSERT_TRUE(feed(channel_, wire::playback::Data{5, wire::SharedBytes::take(Bytes(64))}));
    EXPECT_EQ(owner_.log, "start ");
    // Stock's target starts what plays already.
    ASSERT_TRUE(feed(channel_, wire::playback::Start{2, AudioFormat::s16, 48000, 0}));
    EXPECT_EQ(owner_.log, "start stop start ");
}

TEST_F(PlaybackTest, ImpossibleSoundIsAnError) {
    EXPECT_FALSE(feed(channel_, wire::playback::Data{}));
    EXPECT_FALSE(feed(channel_, wire::playback::Start{0, AudioFormat::s16, 48000, 0}));
    EXPECT_FALSE(feed(channel_, wire::playback::Start{2, AudioFormat::s16, 1, 0}));
    EXPECT_FALSE(feed(channel_, wire::playback::Start{2, AudioFormat::invalid, 48000, 0}));
    EXPECT_FALSE(feed(channel_, wire::playback::Mode{0, AudioDataMode::celt_0_5_1, {}}));
}

// --- Sound to the guest --------------------------------------------------------------------------

TEST_F(DevicesTest, RecordingIsSentInPacketsWhileTheGuestListens) {
    namespace record = wire::record;
    RecordChannel channel{{wire::ChannelType::record, 0}, owner_, owner_};
    attach(channel, {record::Capability::opus});
    const std::vector<std::int16_t> samples(2 * 700, 100);
    channel.give(samples, 1);
    EXPECT_THAT(numbers(), IsEmpty()) << "nobody listens";
    ASSERT_TRUE(feed(channel, record::Start{2, AudioFormat::s16, 48000}));
    channel.give(samples, 2);
    EXPECT_THAT(numbers(), ElementsAre(record::Mode::kFromClient, record::StartMark::kFromClient,
                                       record::Data::kFromClient));
    channel.give(samples, 3);
    ASSERT_EQ(sent_.size(), 1u) << "700 + 700 frames are two packets and a rest";
    const Bytes body = sent_[0].body();
    auto decoder = codec::SoundDecoder::make(2).value();
    EXPECT_EQ(decoder.decode(ByteView(body).subspan(4)).value().size(), 2 * codec::kOpusFrames);
    channel.reset(ResetReason::switching);
    channel.give(samples, 4);
    EXPECT_EQ(owner_.log, "record silence ");
}

// --- Bytes ---------------------------------------------------------------------------------------

TEST_F(DevicesTest, APortSaysItsNameAndCarriesBytesBothWays) {
    namespace port = wire::port;
    namespace vmc = wire::spicevmc;
    StreamChannel channel{{wire::ChannelType::port, 0}, owner_, owner_, false};
    attach(channel, {vmc::Capability::data_compress_lz4});
    ASSERT_TRUE(feed(channel, port::Init{"org.test", false}));
    ASSERT_TRUE(feed(channel, port::Event{port::PortEvent::opened}));
    EXPECT_EQ(owner_.log, "org.test- org.test+ ");
    const Bytes plain(5000, 'x');
    vmc::CompressedData small;
    small.type = vmc::DataCompression::lz4;
    small.uncompressed_size = 5000;
    small.data.append(wire::SharedBytes::take(codec::lz4_encode_block(plain)));
    ASSERT_TRUE(feed(channel, small));
    EXPECT_EQ(owner_.data, as_text(plain));
    channel.give(plain);
    channel.give(as_bytes("short"));
    EXPECT_THAT(numbers(), ElementsAre(vmc::CompressedData::kFromClient, vmc::Data::kFromClient));
    small.uncompressed_size = 4999;
    EXPECT_FALSE(feed(channel, small)) << "more comes out than was announced";
}

TEST_F(DevicesTest, BytesOfASeamlessMoveWaitAndThoseOfAnotherServerGo) {
    StreamChannel channel{{wire::ChannelType::usbredir, 0}, owner_, owner_, false};
    attach<wire::spicevmc::Capability>(channel, {});
    channel.begin_move(wire::common::MigrateFlags::need_data_transfer);
    channel.give(as_bytes("during"));
    EXPECT_THAT(numbers(), IsEmpty());
    attach<wire::spicevmc::Capability>(channel, {}, false);
    ASSERT_EQ(sent_.size(), 1u);
    EXPECT_EQ(as_text(sent_[0].body()), "during");
    sent_.clear();
    channel.begin_move(wire::common::MigrateFlags::need_data_transfer);
    channel.give(as_bytes("lost"));
    channel.reset(ResetReason::switching);
    attach<wire::spicevmc::Capability>(channel, {});
    EXPECT_THAT(numbers(), IsEmpty()) << "a new device knows nothing of the old one's bytes";
}

TEST_F(DevicesTest, AWatcherSendsNoBytes) {
    StreamChannel channel{{wire::ChannelType::port, 0}, owner_, owner_, true};
    attach<wire::spicevmc::Capability>(channel, {});
    channel.give(as_bytes("x"));
    channel.tell_open(true);
    channel.send_break();
    EXPECT_THAT(numbers(), IsEmpty());
}

TEST_F(DevicesTest, TheCardReaderIsAskedOneThingAtATime) {
    namespace smartcard = wire::smartcard;
    SmartcardChannel channel{{wire::ChannelType::smartcard, 0}, owner_, owner_};
    attach<wire::spicevmc::Capability>(channel, {});
    channel.add_reader("reader");
    channel.send_atr(0, as_bytes("atr"));
    channel.send_apdu(0, as_bytes("90 00"));
    EXPECT_EQ(numbers().size(), 2u) << "the ATR waits for the reader's number";
    ASSERT_TRUE(feed(
        channel, smartcard::Data{smartcard::VscType::error, 0, wire::SharedBytes::take(Bytes(4))}));
    EXPECT_EQ(numbers().size(), 1u);
    EXPECT_EQ(owner_.log, "card ");
}

TEST(MediaClockTest, SoundDrivesItWhileItIsHeard) {
    MediaClock clock;
    Instant now;
    clock.set(1000, now);
    EXPECT_EQ(clock.at(now + 500ms), 1500u);
    EXPECT_FALSE(clock.sound_delay_ms(now));
    clock.hear(2000, 200, now);
    EXPECT_EQ(clock.at(now), 1800u);
    EXPECT_EQ(clock.sound_delay_ms(now + 100ms), 200u);
    EXPECT_FALSE(clock.sound_delay_ms(now + 2s));
}

}  // namespace
}  // namespace segue::spice::client
