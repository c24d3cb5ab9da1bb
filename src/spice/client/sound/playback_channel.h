// SPDX-License-Identifier: LGPL-2.1-or-later
// Sound from the guest, decoded: interleaved 16 bit samples with the media time of the first.
#pragma once

#include "spice/client/channel.h"
#include "spice/client/sound/sound.h"
#include "spice/codec/opus_codec.h"
#include "spice/wire/playback.schema.h"

namespace segue::spice::client {

class PlaybackChannel final : public Channel {
  public:
    PlaybackChannel(ChannelKey key, ChannelHost& host, SoundListener& listener)
        : Channel(key, host), listener_(listener) {}

    wire::Capabilities capabilities() const override;
    bool is_playing() const { return format_.has_value(); }

  private:
    Result<> handle(const wire::IncomingMessage& message) override;
    void on_reset(ResetReason reason) override;
    Result<> on(const wire::playback::Data& message);
    Result<> on(const wire::playback::Mode& message);
    Result<> on(const wire::playback::Start& message);
    Result<> on(const wire::playback::Stop& message);
    Result<> on(const wire::playback::Volume& message);
    Result<> on(const wire::playback::Mute& message);
    Result<> on(const wire::playback::Latency& message);
    void stop();

    SoundListener& listener_;
    std::optional<SoundFormat> format_;
    wire::AudioDataMode mode_ = wire::AudioDataMode::raw;
    std::optional<codec::SoundDecoder> decoder_;
    SoundVolume volume_;
};

}  // namespace segue::spice::client
