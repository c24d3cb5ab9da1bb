// SPDX-License-Identifier: LGPL-2.1-or-later
// Sound to the guest: a sound device's input, and the client that speaks into it (the newest of
// several). Home thread, or the embedder's lock held.
#pragma once

#include <deque>
#include <vector>

#include "spice/server/sound/playback.h"
#include "spice/wire/record.schema.h"

namespace segue::spice::server {

class RecordChannel;

class Record {
  public:
    static constexpr std::uint32_t kBestRate = codec::kOpusFrequency;
    // The newest are kept; the first are given out when there is half of it, so that a late packet
    // is not heard as a gap.
    static constexpr std::size_t kMostFrames = 8192;

    explicit Record(std::uint8_t id) : id_(id) {}
    ~Record();
    Record(const Record&) = delete;
    Record& operator=(const Record&) = delete;

    std::uint8_t id() const { return id_; }

    // --- The device ------------------------------------------------------------------------------
    void start();
    void stop();
    // How many frames were there, at most as many as asked for.
    std::size_t get_samples(std::span<SoundFrame> into);
    void set_volume(std::span<const std::uint16_t> channels);
    void set_mute(bool mute);
    void set_rate(std::uint32_t rate) { rate_ = rate; }

    // --- Clients ---------------------------------------------------------------------------------
    void attach(RecordChannel& channel);
    void detach(RecordChannel& channel);
    void heard(const RecordChannel& channel, std::span<const SoundFrame> frames);
    bool is_active() const { return active_; }
    std::uint32_t rate() const { return rate_; }
    const Volume& volume() const { return volume_; }

  private:
    const std::uint8_t id_;
    std::vector<RecordChannel*> channels_;
    bool active_ = false;
    bool flowing_ = false;
    std::uint32_t rate_ = kBestRate;
    Volume volume_;
    std::deque<SoundFrame> frames_;
};

class RecordChannel final : public Channel {
  public:
    RecordChannel(const ChannelSetup& setup, ChannelOutput& output, Record& device)
        : Channel(setup, output), device_(&device) {}
    ~RecordChannel() override;

    void start() override;
    // --- For its device ---
    void device_gone() { device_ = nullptr; }
    void say_start();
    void say_stop();
    void say_volume();
    void say_mute();

  private:
    Result<> handle(std::uint16_t number, const wire::SharedBytes& body) override;
    Result<> set_mode(wire::AudioDataMode mode);
    Result<> take(const wire::SharedBytes& packet);

    Record* device_;
    std::optional<codec::SoundDecoder> decoder_;  // none: raw
};

}  // namespace segue::spice::server
