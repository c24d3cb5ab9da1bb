// SPDX-License-Identifier: LGPL-2.1-or-later
// The samples of sound devices.
#pragma once

#include <cstdint>
#include <span>

namespace segue::spice::server {

// One sample of each of two channels, S16 little endian, the left one low.
using SoundFrame = std::uint32_t;

inline constexpr std::uint32_t kSoundChannels = 2;

// As interleaved samples.
inline std::span<const std::int16_t> samples_of(std::span<const SoundFrame> frames) {
    return {reinterpret_cast<const std::int16_t*>(frames.data()), frames.size() * kSoundChannels};
}

}  // namespace segue::spice::server
