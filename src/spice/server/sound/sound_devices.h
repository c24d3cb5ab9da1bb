// SPDX-License-Identifier: LGPL-2.1-or-later
// The sound devices of the machine. Home thread, or the embedder's lock held.
#pragma once

#include "spice/server/sound/record.h"

namespace segue::spice::server {

class SoundDevices {
  public:
    static constexpr std::size_t kMostOfType = 64;

    struct Hooks {
        std::function<std::uint32_t()> media_time;
        std::function<void(ChannelKey)> on_channel_added;
        std::function<void(ChannelKey)> on_channel_gone;
    };
    explicit SoundDevices(Hooks hooks) : hooks_(std::move(hooks)) {}

    // Good until remove().
    Result<Playback*> add_playback();
    Result<Record*> add_record();
    void remove(Playback* device);
    void remove(Record* device);
    void list_channels(std::vector<ChannelKey>& keys) const;
    // Null: no such channel.
    std::unique_ptr<Channel> make_channel(const ChannelSetup& setup, ChannelOutput& output,
                                          bool compress);

  private:
    Hooks hooks_;
    std::vector<std::unique_ptr<Playback>> playbacks_;
    std::vector<std::unique_ptr<Record>> records_;
};

}  // namespace segue::spice::server
