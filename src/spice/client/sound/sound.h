// SPDX-License-Identifier: LGPL-2.1-or-later
// What sound channels and their owner say to each other.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"

namespace segue::spice::client {

struct SoundFormat {
    std::uint32_t channels = 2;
    std::uint32_t frequency = 48000;  // frames a second
    friend bool operator==(const SoundFormat&, const SoundFormat&) = default;
};

struct SoundVolume {
    std::vector<std::uint16_t> channels;  // empty: never said
    bool muted = false;
};

class SoundListener {
  public:
    virtual ~SoundListener() = default;
    // Sound begins. What was still to be heard of an earlier one is over.
    virtual void on_sound_start(const SoundFormat& format) { (void)format; }
    virtual void on_sound_stop() {}
    // Interleaved samples; `media_time` in milliseconds is that of the first one.
    virtual void on_sound(std::span<const std::int16_t> samples, std::uint32_t media_time) {
        (void)samples, (void)media_time;
    }
    virtual void on_sound_volume(const SoundVolume& volume) { (void)volume; }
    // The server wants at least so much to be kept ahead of what is heard, for video's sake.
    virtual void on_sound_latency(std::uint32_t milliseconds) { (void)milliseconds; }
    // How long it takes from now until newly given samples are heard; nothing when silent.
    virtual std::optional<std::uint32_t> sound_delay_ms() const { return std::nullopt; }

    // The guest listens: give samples to RecordChannel::give() until it stops.
    virtual void on_record_start(const SoundFormat& format) { (void)format; }
    virtual void on_record_stop() {}
    virtual void on_record_volume(const SoundVolume& volume) { (void)volume; }
};

// Errors: protocol for a format that no guest has (channels, frequency, not 16 bit).
inline constexpr std::uint32_t kMinFrequency = 4000;
inline constexpr std::uint32_t kMaxFrequency = 192000;
Result<> check_format(const SoundFormat& format);

}  // namespace segue::spice::client
