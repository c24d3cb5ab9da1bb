// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/sound/playback.h"

#include <algorithm>

#include "base/log.h"
#include "spice/server/migration/extension.schema.h"

namespace segue::spice::server {

namespace sound = wire::playback;
using wire::SharedBytes;

// --- The device ---------------------------------------------------------------------------------

Playback::~Playback() {
    for (PlaybackChannel* channel : channels_)
        channel->device_gone();
}

void Playback::start() {
    if (std::exchange(active_, true)) return;
    for (PlaybackChannel* channel : channels_)
        channel->say_start();
}

void Playback::stop() {
    if (!std::exchange(active_, false)) return;
    taken_ = false;
    for (PlaybackChannel* channel : channels_)
        channel->say_stop();
}

std::span<SoundFrame> Playback::get_buffer() {
    if (!active_ || channels_.empty() || taken_) return {};
    taken_ = true;
    return buffer_;
}

void Playback::put_samples(const SoundFrame* samples) {
    if (samples != buffer_.data()) return;
    taken_ = false;
    if (!active_) return;
    for (PlaybackChannel* channel : channels_)
        channel->play(media_time_(), buffer_);
}

void Playback::set_volume(std::span<const std::uint16_t> channels) {
    volume_.channels.assign(channels.begin(), channels.end());
    for (PlaybackChannel* channel : channels_)
        channel->say_volume();
}

void Playback::set_mute(bool mute) {
    volume_.mute = mute;
    for (PlaybackChannel* channel : channels_)
        channel->say_mute();
}

void Playback::attach(PlaybackChannel& channel) {
    channels_.push_back(&channel);
}

void Playback::detach(PlaybackChannel& channel) {
    channels_.erase(std::remove(channels_.begin(), channels_.end(), &channel), channels_.end());
}

// --- A client -----------------------------------------------------------------------------------

PlaybackChannel::PlaybackChannel(const ChannelSetup& setup, ChannelOutput& output, Playback& device,
                                 bool compress)
    : Channel(setup, output),
      device_(&device),
      compress_(compress && setup.client_caps.has(sound::Capability::opus)) {}

PlaybackChannel::~PlaybackChannel() {
    if (device_ != nullptr) device_->detach(*this);
}

// After a seamless move, too: there is no state to take over, and saying it twice does no harm.
void PlaybackChannel::start() {
    // It has no state: nothing will come.
    if (expects_data()) stop_waiting();
    device_->attach(*this);
    say_volume();
    say_mute();
    if (device_->is_active()) say_start();
}

void PlaybackChannel::choose_mode() {
    encoder_.reset();
    if (compress_ && device_->rate() == codec::kOpusFrequency) {
        auto made = codec::SoundEncoder::make(kSoundChannels);
        if (made) {
            encoder_ = std::move(*made);
        } else {
            log_warning("spice", "{}: sound goes uncompressed: {}", name_of(key()),
                        made.error().message);
        }
    }
    sound::Mode mode;
    mode.time = device_->media_time();
    mode.mode = encoder_ ? wire::AudioDataMode::opus : wire::AudioDataMode::raw;
    send(mode);
}

void PlaybackChannel::say_start() {
    choose_mode();
    sound::Start start;
    start.channels = kSoundChannels;
    start.format = wire::AudioFormat::s16;
    start.frequency = device_->rate();
    start.time = device_->media_time();
    send(start);
    // A client begins each time with a latency of its own.
    if (latency_ms_) say_latency(*latency_ms_);
}

void PlaybackChannel::say_stop() {
    send(sound::Stop{});
}

void PlaybackChannel::say_volume() {
    if (!setup().client_caps.has(sound::Capability::volume) || device_->volume().channels.empty())
        return;
    sound::Volume message;
    message.volume = device_->volume().channels;
    send(message);
}

void PlaybackChannel::say_mute() {
    if (!setup().client_caps.has(sound::Capability::volume) || !device_->volume().mute) return;
    sound::Mute message;
    message.mute = *device_->volume().mute;
    send(message);
}

void PlaybackChannel::say_latency(std::uint32_t latency_ms) {
    latency_ms_ = latency_ms;
    if (!setup().client_caps.has(sound::Capability::latency)) return;
    sound::Latency message;
    message.latency_ms = latency_ms;
    send(message);
}

void PlaybackChannel::play(std::uint32_t time, std::span<const SoundFrame> frames) {
    if (waiting() > kMostLate || at_gate() > kMostHeld) return;
    sound::Data message;
    message.time = time;
    if (encoder_) {
        auto packet = encoder_->encode(samples_of(frames));
        if (!packet) {
            log_warning("spice", "{}: {}", name_of(key()), packet.error().message);
            return;
        }
        message.data = SharedBytes::take(std::move(*packet));
    } else {
        message.data = SharedBytes::copy(
            {reinterpret_cast<const std::uint8_t*>(frames.data()), frames.size_bytes()});
    }
    send(message);
}

// All else its device says anew when its machine runs.
std::optional<Bytes> PlaybackChannel::carried_state(bool) {
    if (!latency_ms_ || is_migrating()) return std::nullopt;
    return wire::encode(0, wire::extension::PlaybackState{*latency_ms_}).body();
}

Result<> PlaybackChannel::restore(const SharedBytes& state) {
    const auto brought = TRY(wire::parse<wire::extension::PlaybackState>(state));
    // The target has measured its videos meanwhile.
    if (latency_ms_) return {};
    latency_ms_ = brought.latency_ms;
    if (device_ != nullptr && device_->is_active()) say_latency(*latency_ms_);
    return {};
}

Result<> PlaybackChannel::handle(std::uint16_t number, const SharedBytes&) {
    return fail(ErrorCode::protocol, "{}: message {} is none of a client's", name_of(key()),
                number);
}

}  // namespace segue::spice::server
