// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/sound/opus_codec.h"

#include <opus.h>

namespace segue::spice::server {
namespace {

// The largest that a packet may be (RFC 6716, 3.2.1), and the longest time that one may hold.
constexpr std::size_t kMostPacket = 1275 * 3 + 7;
constexpr std::size_t kMostFrames = kOpusRate / 1000 * 120;

}  // namespace

Result<std::unique_ptr<SoundEncoder>> SoundEncoder::make() {
    int error = 0;
    OpusEncoder* encoder =
        ::opus_encoder_create(kOpusRate, kSoundChannels, OPUS_APPLICATION_AUDIO, &error);
    if (encoder == nullptr)
        return fail(ErrorCode::system, "Opus encoder: {}", ::opus_strerror(error));
    return std::unique_ptr<SoundEncoder>(new SoundEncoder(encoder));
}

SoundEncoder::~SoundEncoder() {
    ::opus_encoder_destroy(encoder_);
}

Result<Bytes> SoundEncoder::encode(std::span<const SoundFrame> frames) {
    Bytes packet(kMostPacket);
    const int size = ::opus_encode(encoder_, reinterpret_cast<const opus_int16*>(frames.data()),
                                   static_cast<int>(frames.size()), packet.data(),
                                   static_cast<opus_int32>(packet.size()));
    if (size < 0) return fail(ErrorCode::internal, "Opus encoder: {}", ::opus_strerror(size));
    packet.resize(static_cast<std::size_t>(size));
    return packet;
}

Result<std::unique_ptr<SoundDecoder>> SoundDecoder::make() {
    int error = 0;
    OpusDecoder* decoder = ::opus_decoder_create(kOpusRate, kSoundChannels, &error);
    if (decoder == nullptr)
        return fail(ErrorCode::system, "Opus decoder: {}", ::opus_strerror(error));
    return std::unique_ptr<SoundDecoder>(new SoundDecoder(decoder));
}

SoundDecoder::~SoundDecoder() {
    ::opus_decoder_destroy(decoder_);
}

Result<std::vector<SoundFrame>> SoundDecoder::decode(ByteView packet) {
    if (packet.empty() || packet.size() > kMostPacket) {
        return fail(ErrorCode::limit_exceeded, "an Opus packet of {} bytes, 1 to {} are allowed",
                    packet.size(), kMostPacket);
    }
    std::vector<SoundFrame> frames(kMostFrames);
    const int count = ::opus_decode(decoder_, packet.data(), static_cast<opus_int32>(packet.size()),
                                    reinterpret_cast<opus_int16*>(frames.data()),
                                    static_cast<int>(frames.size()), 0);
    if (count < 0) return fail(ErrorCode::protocol, "Opus decoder: {}", ::opus_strerror(count));
    frames.resize(static_cast<std::size_t>(count));
    return frames;
}

}  // namespace segue::spice::server
