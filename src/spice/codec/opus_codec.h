// SPDX-License-Identifier: LGPL-2.1-or-later
// Sound as SPICE carries it in mode "opus": packets of 10 ms at 48 kHz. The Opus is libopus's.
//
//   auto decoder = TRY(SoundDecoder::make(2));
//   std::vector<std::int16_t> samples = TRY(decoder.decode(packet));   // interleaved
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace segue::spice::codec {

inline constexpr std::uint32_t kOpusFrequency = 48000;
inline constexpr std::size_t kOpusFrames = 480;  // of one packet, per channel
inline constexpr std::uint32_t kOpusMaxChannels = 2;

struct OpusState;
struct FreeOpus {
    void operator()(OpusState* state) const;
};

class SoundDecoder {
  public:
    // Errors: no_support for more channels than kOpusMaxChannels, or none.
    static Result<SoundDecoder> make(std::uint32_t channels);
    // Errors: protocol for bytes that are no packet.
    Result<std::vector<std::int16_t>> decode(ByteView packet);

  private:
    std::unique_ptr<OpusState, FreeOpus> state_;
};

class SoundEncoder {
  public:
    static Result<SoundEncoder> make(std::uint32_t channels);
    // Precondition: kOpusFrames frames. Errors: internal.
    Result<Bytes> encode(std::span<const std::int16_t> samples);

  private:
    std::unique_ptr<OpusState, FreeOpus> state_;
};

}  // namespace segue::spice::codec
