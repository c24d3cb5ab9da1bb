// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/codec/opus_codec.h"

#include <opus.h>

namespace segue::spice::codec {

struct OpusState {
    std::uint32_t channels = 0;
    ::OpusDecoder* decoder = nullptr;
    ::OpusEncoder* encoder = nullptr;
};

void FreeOpus::operator()(OpusState* state) const {
    if (state->decoder) opus_decoder_destroy(state->decoder);
    if (state->encoder) opus_encoder_destroy(state->encoder);
    delete state;
}

namespace {

// 120 ms, the longest packet there is.
constexpr int kMaxFrames = 5760;
// Ten milliseconds of stereo music at the highest rate of the format are below 1,280 bytes.
constexpr std::size_t kMaxPacket = 1500;

Result<> check_channels(std::uint32_t channels) {
    if (channels >= 1 && channels <= kOpusMaxChannels) return {};
    return fail(ErrorCode::no_support, "sound of {} channels: Opus carries 1 or {}", channels,
                kOpusMaxChannels);
}

}  // namespace

Result<SoundDecoder> SoundDecoder::make(std::uint32_t channels) {
    TRY(check_channels(channels));
    SoundDecoder made;
    made.state_.reset(new OpusState{channels});
    int error = OPUS_OK;
    made.state_->decoder = opus_decoder_create(kOpusFrequency, static_cast<int>(channels), &error);
    if (error != OPUS_OK) return fail(ErrorCode::internal, "opus: {}", opus_strerror(error));
    return made;
}

Result<std::vector<std::int16_t>> SoundDecoder::decode(ByteView packet) {
    std::vector<std::int16_t> samples(kMaxFrames * state_->channels);
    const int frames =
        opus_decode(state_->decoder, packet.data(), static_cast<opus_int32>(packet.size()),
                    samples.data(), kMaxFrames, 0);
    if (frames < 0) {
        return fail(ErrorCode::protocol, "a sound packet of {} bytes: {}", packet.size(),
                    opus_strerror(frames));
    }
    samples.resize(static_cast<std::size_t>(frames) * state_->channels);
    return samples;
}

Result<SoundEncoder> SoundEncoder::make(std::uint32_t channels) {
    TRY(check_channels(channels));
    SoundEncoder made;
    made.state_.reset(new OpusState{channels});
    int error = OPUS_OK;
    made.state_->encoder = opus_encoder_create(kOpusFrequency, static_cast<int>(channels),
                                               OPUS_APPLICATION_AUDIO, &error);
    if (error != OPUS_OK) return fail(ErrorCode::internal, "opus: {}", opus_strerror(error));
    return made;
}

Result<Bytes> SoundEncoder::encode(std::span<const std::int16_t> samples) {
    Bytes packet(kMaxPacket);
    const opus_int32 size = opus_encode(state_->encoder, samples.data(), kOpusFrames, packet.data(),
                                        static_cast<opus_int32>(packet.size()));
    if (size < 0) return fail(ErrorCode::internal, "opus: {}", opus_strerror(size));
    packet.resize(static_cast<std::size_t>(size));
    return packet;
}

}  // namespace segue::spice::codec
