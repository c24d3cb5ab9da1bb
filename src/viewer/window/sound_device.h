// SPDX-License-Identifier: LGPL-2.1-or-later
// The user's loudspeaker and microphone, by SDL.
#pragma once

#include <functional>
#include <memory>

#include "base/loop.h"
#include "spice/client/sound/sound.h"

namespace segue::viewer {

class SoundDevice {
  public:
    using OnRecorded = std::function<void(std::span<const std::int16_t>)>;

    SoundDevice(Loop& loop, OnRecorded on_recorded);
    ~SoundDevice();

    // Without a device these do nothing, after one warning.
    void start(const spice::client::SoundFormat& format);
    void stop();
    void play(std::span<const std::int16_t> samples);
    void set_volume(const spice::client::SoundVolume& volume);
    // So much is kept ahead of what is heard, against a network that comes in bursts.
    void set_latency(std::uint32_t milliseconds);
    // Until samples given now are heard; nothing without a device.
    std::optional<std::uint32_t> delay_ms() const;
    bool is_playing() const { return player_ != 0; }

    void start_recording(const spice::client::SoundFormat& format);
    void stop_recording();

  private:
    void take_recorded();

    static constexpr std::uint32_t kDefaultLatencyMs = 60;
    // More than this ahead means that the sound card's clock is slower: some is left out.
    static constexpr std::uint32_t kMaxAheadMs = 500;

    OnRecorded on_recorded_;
    std::unique_ptr<Timer> record_timer_;
    std::uint32_t player_ = 0;  // SDL's numbers of devices; 0: none
    std::uint32_t recorder_ = 0;
    spice::client::SoundFormat format_;
    std::uint32_t latency_ms_ = kDefaultLatencyMs;
    bool flowing_ = false;  // enough was gathered to begin
    float gain_ = 1;
    bool warned_ = false;
};

}  // namespace segue::viewer
