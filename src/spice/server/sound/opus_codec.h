// SPDX-License-Identifier: LGPL-2.1-or-later
// Opus as SPICE carries it: 48 kHz stereo, 480 frames (10 ms) a packet. The codec is libopus's.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

struct OpusEncoder;
struct OpusDecoder;

namespace segue::spice::server {

// A frame is one sample of each of two channels, S16 little endian, the left one low.
using SoundFrame = std::uint32_t;

inline constexpr std::uint32_t kOpusRate = 48000;
inline constexpr std::size_t kPacketFrames = 480;
inline constexpr std::uint32_t kSoundChannels = 2;

class SoundEncoder {
  public:
    static Result<std::unique_ptr<SoundEncoder>> make();
    ~SoundEncoder();
    // kPacketFrames frames.
    Result<Bytes> encode(std::span<const SoundFrame> frames);

  private:
    explicit SoundEncoder(OpusEncoder* encoder) : encoder_(encoder) {}
    OpusEncoder* encoder_;
};

class SoundDecoder {
  public:
    static Result<std::unique_ptr<SoundDecoder>> make();
    ~SoundDecoder();
    Result<std::vector<SoundFrame>> decode(ByteView packet);

  private:
    explicit SoundDecoder(OpusDecoder* decoder) : decoder_(decoder) {}
    OpusDecoder* decoder_;
};

}  // namespace segue::spice::server
