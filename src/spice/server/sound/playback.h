// SPDX-License-Identifier: LGPL-2.1-or-later
// Sound from the guest: a sound device's output, and the clients that hear it. Sound is never kept
// for a client that is slow: what it cannot take now is too late later. Home thread, or the
// embedder's lock held.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "spice/codec/opus_codec.h"
#include "spice/server/channel.h"
#include "spice/server/sound/sound_frame.h"
#include "spice/wire/playback.schema.h"

namespace segue::spice::server {

class PlaybackChannel;

// How loud, as the guest set it; nothing until it did.
struct Volume {
    std::vector<std::uint16_t> channels;
    std::optional<bool> mute;
};

class Playback {
  public:
    // `media_time`: milliseconds, the time that all clients share.
    explicit Playback(std::uint8_t id, std::function<std::uint32_t()> media_time)
        : id_(id), media_time_(std::move(media_time)) {}
    ~Playback();
    Playback(const Playback&) = delete;
    Playback& operator=(const Playback&) = delete;

    std::uint8_t id() const { return id_; }

    // --- The device ------------------------------------------------------------------------------
    void start();
    void stop();
    // Room for codec::kOpusFrames frames; empty: nobody listens, or the room is taken.
    std::span<SoundFrame> get_buffer();
    // What get_buffer() gave, filled.
    void put_samples(const SoundFrame* samples);
    void set_volume(std::span<const std::uint16_t> channels);
    void set_mute(bool mute);
    // Opus knows one rate; at others the samples go as they are.
    static constexpr std::uint32_t kBestRate = codec::kOpusFrequency;
    void set_rate(std::uint32_t rate) { rate_ = rate; }

    // --- Clients ---------------------------------------------------------------------------------
    void attach(PlaybackChannel& channel);
    void detach(PlaybackChannel& channel);
    bool is_active() const { return active_; }
    std::uint32_t rate() const { return rate_; }
    const Volume& volume() const { return volume_; }
    std::uint32_t media_time() const { return media_time_(); }

  private:
    const std::uint8_t id_;
    const std::function<std::uint32_t()> media_time_;
    std::vector<PlaybackChannel*> channels_;
    bool active_ = false;
    std::uint32_t rate_ = kBestRate;
    Volume volume_;
    std::array<SoundFrame, codec::kOpusFrames> buffer_{};
    bool taken_ = false;
};

class PlaybackChannel final : public Channel {
  public:
    // `compress`: as Opus where client and rate allow it.
    PlaybackChannel(const ChannelSetup& setup, ChannelOutput& output, Playback& device,
                    bool compress);
    ~PlaybackChannel() override;

    void start() override;
    std::optional<Bytes> carried_state(bool freeze) override;
    // --- For its device ---
    void device_gone() { device_ = nullptr; }
    void say_start();
    void say_stop();
    void say_volume();
    void say_mute();
    // Pictures come so much before they are due: sound is to be heard as late.
    void say_latency(std::uint32_t latency_ms);
    const std::optional<std::uint32_t>& latency_ms() const { return latency_ms_; }
    void play(std::uint32_t time, std::span<const SoundFrame> frames);

  private:
    // More than this waiting would be heard late.
    static constexpr std::size_t kMostLate = 32u << 10;
    // The same at the gate of a protected machine.
    static constexpr std::size_t kMostHeld = 512u << 10;

    Result<> handle(std::uint16_t number, const wire::SharedBytes& body) override;
    Result<> restore(const wire::SharedBytes& state) override;
    void choose_mode();

    Playback* device_;
    const bool compress_;
    std::optional<std::uint32_t> latency_ms_;
    std::optional<codec::SoundEncoder> encoder_;  // none: raw
};

}  // namespace segue::spice::server
