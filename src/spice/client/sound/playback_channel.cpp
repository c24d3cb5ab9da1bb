// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/client/sound/playback_channel.h"

namespace segue::spice::client {

namespace playback = wire::playback;
using wire::AudioDataMode;

Result<> check_format(const SoundFormat& format) {
    if (format.channels == 0 || format.channels > wire::kAudioChannels) {
        return fail(ErrorCode::protocol, "sound of {} channels: 1 to {} are possible",
                    format.channels, wire::kAudioChannels);
    }
    if (format.frequency < kMinFrequency || format.frequency > kMaxFrequency) {
        return fail(ErrorCode::protocol, "sound of {} Hz: {} to {} are possible", format.frequency,
                    kMinFrequency, kMaxFrequency);
    }
    return {};
}

wire::Capabilities PlaybackChannel::capabilities() const {
    using playback::Capability;
    return wire::Capabilities::of({Capability::volume, Capability::latency, Capability::opus});
}

Result<> PlaybackChannel::handle(const wire::IncomingMessage& message) {
    return playback::dispatch_from_server(message.number, message.body,
                                          [this](const auto& parsed) { return on(parsed); });
}

void PlaybackChannel::on_reset(ResetReason reason) {
    (void)reason;
    stop();
    mode_ = AudioDataMode::raw;
    volume_ = {};
}

void PlaybackChannel::stop() {
    decoder_.reset();
    if (std::exchange(format_, std::nullopt)) listener_.on_sound_stop();
}

Result<> PlaybackChannel::on(const playback::Mode& message) {
    if (message.mode != AudioDataMode::raw && message.mode != AudioDataMode::opus) {
        return fail(ErrorCode::no_support, "sound of mode {}: raw and Opus were offered",
                    static_cast<int>(message.mode));
    }
    mode_ = message.mode;
    decoder_.reset();
    return {};
}

Result<> PlaybackChannel::on(const playback::Start& message) {
    if (message.format != wire::AudioFormat::s16) {
        return fail(ErrorCode::no_support, "sound of format {}: samples have 16 bits",
                    static_cast<int>(message.format));
    }
    const SoundFormat format{message.channels, message.frequency};
    TRY(check_format(format));
    // Behind a seamless move the new host starts what is playing already.
    stop();
    format_ = format;
    listener_.on_sound_start(format);
    return {};
}

Result<> PlaybackChannel::on(const playback::Data& message) {
    if (!format_) return fail(ErrorCode::protocol, "sound data before START");
    const wire::SharedBytes data = message.data.contiguous();
    if (mode_ == AudioDataMode::opus) {
        if (!decoder_) decoder_ = TRY(codec::SoundDecoder::make(format_->channels));
        const auto samples = TRY(decoder_->decode(data.view()));
        listener_.on_sound(samples, message.time);
        return {};
    }
    // Half a frame at the end of a packet is nothing that can be heard.
    std::vector<std::int16_t> samples(data.size() / 2 / format_->channels * format_->channels);
    if (!samples.empty()) std::memcpy(samples.data(), data.data(), samples.size() * 2);
    listener_.on_sound(samples, message.time);
    return {};
}

Result<> PlaybackChannel::on(const playback::Stop&) {
    stop();
    return {};
}

Result<> PlaybackChannel::on(const playback::Volume& message) {
    volume_.channels = message.volume;
    listener_.on_sound_volume(volume_);
    return {};
}

Result<> PlaybackChannel::on(const playback::Mute& message) {
    volume_.muted = message.mute;
    listener_.on_sound_volume(volume_);
    return {};
}

Result<> PlaybackChannel::on(const playback::Latency& message) {
    listener_.on_sound_latency(message.latency_ms);
    return {};
}

}  // namespace segue::spice::client
