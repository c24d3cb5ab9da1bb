// SPDX-License-Identifier: LGPL-2.1-or-later
#include "viewer/window/sound_device.h"

#include <SDL.h>

#include <algorithm>

#include "base/log.h"

namespace segue::viewer {

using spice::client::SoundFormat;

namespace {

constexpr Duration kRecordInterval = 10ms;

SDL_AudioSpec spec_of(const SoundFormat& format) {
    SDL_AudioSpec spec{};
    spec.freq = static_cast<int>(format.frequency);
    spec.format = AUDIO_S16LSB;
    spec.channels = static_cast<Uint8>(format.channels);
    spec.samples = 512;
    return spec;
}

}  // namespace

SoundDevice::SoundDevice(Loop& loop, OnRecorded on_recorded)
    : on_recorded_(std::move(on_recorded)),
      record_timer_(loop.make_timer([this] { take_recorded(); })) {}

SoundDevice::~SoundDevice() {
    stop();
    stop_recording();
}

void SoundDevice::start(const SoundFormat& format) {
    stop();
    format_ = format;
    const SDL_AudioSpec wanted = spec_of(format);
    if (SDL_InitSubSystem(SDL_INIT_AUDIO) == 0)
        player_ = SDL_OpenAudioDevice(nullptr, 0, &wanted, nullptr, 0);
    if (player_ == 0 && !std::exchange(warned_, true))
        log_warning("viewer", "no sound: {}", SDL_GetError());
}

void SoundDevice::stop() {
    if (player_ != 0) SDL_CloseAudioDevice(player_);
    player_ = 0;
    flowing_ = false;
}

std::optional<std::uint32_t> SoundDevice::delay_ms() const {
    if (player_ == 0) return std::nullopt;
    const std::uint32_t frame = 2 * format_.channels;
    return SDL_GetQueuedAudioSize(player_) / frame * 1000 / format_.frequency;
}

void SoundDevice::play(std::span<const std::int16_t> samples) {
    if (player_ == 0) return;
    const std::uint32_t ahead = *delay_ms();
    if (ahead > std::max(kMaxAheadMs, 2 * latency_ms_)) return;
    if (flowing_ && ahead == 0) {
        // It ran dry: gather again, or every packet would crackle.
        flowing_ = false;
        SDL_PauseAudioDevice(player_, 1);
    }
    if (gain_ == 1) {
        SDL_QueueAudio(player_, samples.data(), static_cast<Uint32>(samples.size_bytes()));
    } else {
        std::vector<std::int16_t> quieter(samples.size());
        std::transform(samples.begin(), samples.end(), quieter.begin(), [this](std::int16_t one) {
            return static_cast<std::int16_t>(static_cast<float>(one) * gain_);
        });
        SDL_QueueAudio(player_, quieter.data(), static_cast<Uint32>(samples.size_bytes()));
    }
    if (flowing_ || *delay_ms() < latency_ms_) return;
    flowing_ = true;
    SDL_PauseAudioDevice(player_, 0);
}

void SoundDevice::set_volume(const spice::client::SoundVolume& volume) {
    const auto loudest = std::max_element(volume.channels.begin(), volume.channels.end());
    const float full = 65535;
    gain_ = volume.muted ? 0 : loudest == volume.channels.end() ? 1 : *loudest / full;
}

void SoundDevice::set_latency(std::uint32_t milliseconds) {
    latency_ms_ = std::clamp(milliseconds, kDefaultLatencyMs, kMaxAheadMs);
}

void SoundDevice::start_recording(const SoundFormat& format) {
    stop_recording();
    const SDL_AudioSpec wanted = spec_of(format);
    if (SDL_InitSubSystem(SDL_INIT_AUDIO) == 0)
        recorder_ = SDL_OpenAudioDevice(nullptr, 1, &wanted, nullptr, 0);
    if (recorder_ == 0) return log_warning("viewer", "no microphone: {}", SDL_GetError());
    SDL_PauseAudioDevice(recorder_, 0);
    record_timer_->start(kRecordInterval);
}

void SoundDevice::stop_recording() {
    record_timer_->cancel();
    if (recorder_ != 0) SDL_CloseAudioDevice(recorder_);
    recorder_ = 0;
}

void SoundDevice::take_recorded() {
    std::vector<std::int16_t> samples(SDL_GetQueuedAudioSize(recorder_) / 2);
    const Uint32 size =
        SDL_DequeueAudio(recorder_, samples.data(), static_cast<Uint32>(samples.size() * 2));
    samples.resize(size / 2);
    if (!samples.empty()) on_recorded_(samples);
    record_timer_->start(kRecordInterval);
}

}  // namespace segue::viewer
