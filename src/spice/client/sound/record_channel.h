// SPDX-License-Identifier: LGPL-2.1-or-later
// Sound to the guest: samples of the user's microphone, while the guest listens.
#pragma once

#include "spice/client/channel.h"
#include "spice/client/sound/sound.h"
#include "spice/codec/opus_codec.h"
#include "spice/wire/record.schema.h"

namespace segue::spice::client {

class RecordChannel final : public Channel {
  public:
    RecordChannel(ChannelKey key, ChannelHost& host, SoundListener& listener)
        : Channel(key, host), listener_(listener) {}

    wire::Capabilities capabilities() const override;

    // Interleaved samples in the format of on_record_start; `media_time` is that of the first.
    // While the guest does not listen they are dropped.
    void give(std::span<const std::int16_t> samples, std::uint32_t media_time);

  private:
    Result<> handle(const wire::IncomingMessage& message) override;
    void on_server(const wire::Capabilities& server) override;
    void on_reset(ResetReason reason) override;
    Result<> on(const wire::record::Start& message);
    Result<> on(const wire::record::Stop& message);
    Result<> on(const wire::record::Volume& message);
    Result<> on(const wire::record::Mute& message);
    void stop();
    void begin(std::uint32_t media_time);
    void send_packet(std::span<const std::int16_t> samples, std::uint32_t media_time);

    SoundListener& listener_;
    bool server_takes_opus_ = false;
    std::optional<SoundFormat> format_;
    bool begun_ = false;  // mode and start mark are said
    std::optional<codec::SoundEncoder> encoder_;
    std::vector<std::int16_t> waiting_;  // less than a packet
    SoundVolume volume_;
};

}  // namespace segue::spice::client
