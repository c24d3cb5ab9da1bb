// SPDX-License-Identifier: LGPL-2.1-or-later
// The display channel of a guest that encodes its own picture: a surface that nothing is drawn on,
// and one video over all of it. Home thread.
#pragma once

#include "spice/server/channel.h"
#include "spice/server/stream/stream_reader.h"
#include "spice/wire/display.schema.h"

namespace segue::spice::server {

class StreamDevice;

class StreamChannel final : public Channel {
  public:
    StreamChannel(const ChannelSetup& setup, ChannelOutput& output, StreamDevice& device)
        : Channel(setup, output), device_(&device) {}
    ~StreamChannel() override;

    void start() override;
    void on_room() override;

    // --- For its device --------------------------------------------------------------------------
    bool has_room() const { return can_send(); }
    // Slower than this it misses something.
    bool keeps_up() const { return can_send_shared(); }
    // It is sent nothing until a video begins.
    void fall_behind() { behind_ = true; }
    bool is_behind() const { return behind_; }
    // A surface of this size, black where it is new.
    void show(const StreamFormat& format);
    // A video of this format from now on, on that surface.
    void begin(const StreamFormat& format);
    void frame(const wire::SharedBytes& data, std::uint32_t media_time);
    // Neither video nor surface.
    void end();
    // By number: whether the client decodes SPICE_VIDEO_CODEC_TYPE_*.
    bool decodes(std::uint8_t codec) const;
    void device_gone() { device_ = nullptr; }

  private:
    struct Handler;
    Result<> handle(std::uint16_t number, const wire::SharedBytes& body) override;
    void before_migrate() override;
    void end_stream();

    StreamDevice* device_;
    std::uint32_t width_ = 0;
    std::uint32_t height_ = 0;
    bool streams_ = false;
    bool behind_ = false;
    std::uint32_t stream_id_ = 0;
    std::uint32_t reports_ = 0;
};

}  // namespace segue::spice::server
