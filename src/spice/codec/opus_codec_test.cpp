// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/codec/opus_codec.h"

#include <gtest/gtest.h>

#include <cmath>

namespace segue::spice::codec {
namespace {

std::vector<std::int16_t> tone(std::size_t packet, std::uint32_t channels) {
    std::vector<std::int16_t> samples;
    for (std::size_t frame = 0; frame < kOpusFrames; ++frame) {
        const double time = static_cast<double>(packet * kOpusFrames + frame) / kOpusFrequency;
        for (std::uint32_t channel = 0; channel < channels; ++channel)
            samples.push_back(static_cast<std::int16_t>(12000 * std::sin(time * 440 * 6.283185)));
    }
    return samples;
}

TEST(OpusCodecTest, ATonePassesAndKeepsItsLoudness) {
    for (const std::uint32_t channels : {1u, 2u}) {
        auto encoder = SoundEncoder::make(channels).value();
        auto decoder = SoundDecoder::make(channels).value();
        double before = 0, after = 0;
        for (std::size_t packet = 0; packet < 50; ++packet) {
            const auto samples = tone(packet, channels);
            const Bytes encoded = encoder.encode(samples).value();
            EXPECT_LT(encoded.size(), samples.size());
            const auto heard = decoder.decode(encoded).value();
            ASSERT_EQ(heard.size(), samples.size());
            for (const std::int16_t sample : samples)
                before += 1.0 * sample * sample;
            for (const std::int16_t sample : heard)
                after += 1.0 * sample * sample;
        }
        EXPECT_NEAR(after / before, 1.0, 0.2) << channels;
    }
}

TEST(OpusCodecTest, RefusesWhatIsNoSound) {
    EXPECT_FALSE(SoundDecoder::make(0));
    EXPECT_FALSE(SoundDecoder::make(3));
    EXPECT_FALSE(SoundEncoder::make(8));
    auto decoder = SoundDecoder::make(2).value();
    EXPECT_FALSE(decoder.decode(Bytes(3, 0xff)));
}

}  // namespace
}  // namespace segue::spice::codec
