// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/sound/record.h"

#include <algorithm>

namespace segue::spice::server {

namespace sound = wire::record;
using wire::SharedBytes;

// --- The device ---------------------------------------------------------------------------------

Record::~Record() {
    for (RecordChannel* channel : channels_)
        channel->device_gone();
}

void Record::start() {
    if (std::exchange(active_, true)) return;
    frames_.clear();
    flowing_ = false;
    for (RecordChannel* channel : channels_)
        channel->say_start();
}

void Record::stop() {
    if (!std::exchange(active_, false)) return;
    for (RecordChannel* channel : channels_)
        channel->say_stop();
}

std::size_t Record::get_samples(std::span<SoundFrame> into) {
    if (!active_) return 0;
    if (frames_.empty()) flowing_ = false;
    if (!flowing_ && frames_.size() < kMostFrames / 2) return 0;
    flowing_ = true;
    const std::size_t count = std::min(into.size(), frames_.size());
    const auto end = frames_.begin() + static_cast<std::ptrdiff_t>(count);
    std::copy(frames_.begin(), end, into.begin());
    frames_.erase(frames_.begin(), end);
    return count;
}

void Record::heard(const RecordChannel& channel, std::span<const SoundFrame> frames) {
    if (!active_ || channels_.back() != &channel) return;
    frames_.insert(frames_.end(), frames.begin(), frames.end());
    if (frames_.size() > kMostFrames) {
        frames_.erase(frames_.begin(), frames_.end() - static_cast<std::ptrdiff_t>(kMostFrames));
    }
}

void Record::set_volume(std::span<const std::uint16_t> channels) {
    volume_.channels.assign(channels.begin(), channels.end());
    for (RecordChannel* channel : channels_)
        channel->say_volume();
}

void Record::set_mute(bool mute) {
    volume_.mute = mute;
    for (RecordChannel* channel : channels_)
        channel->say_mute();
}

void Record::attach(RecordChannel& channel) {
    channels_.push_back(&channel);
}

void Record::detach(RecordChannel& channel) {
    channels_.erase(std::remove(channels_.begin(), channels_.end(), &channel), channels_.end());
}

// --- A client -----------------------------------------------------------------------------------

RecordChannel::~RecordChannel() {
    if (device_ != nullptr) device_->detach(*this);
}

void RecordChannel::start() {
    // It has no state: nothing will come.
    if (expects_data()) stop_waiting();
    device_->attach(*this);
    say_volume();
    say_mute();
    if (device_->is_active()) say_start();
}

void RecordChannel::say_start() {
    sound::Start start;
    start.channels = kSoundChannels;
    start.format = wire::AudioFormat::s16;
    start.frequency = device_->rate();
    send(start);
}

void RecordChannel::say_stop() {
    send(sound::Stop{});
}

void RecordChannel::say_volume() {
    if (!setup().client_caps.has(sound::Capability::volume) || device_->volume().channels.empty())
        return;
    sound::Volume message;
    message.volume = device_->volume().channels;
    send(message);
}

void RecordChannel::say_mute() {
    if (!setup().client_caps.has(sound::Capability::volume) || !device_->volume().mute) return;
    sound::Mute message;
    message.mute = *device_->volume().mute;
    send(message);
}

Result<> RecordChannel::handle(std::uint16_t number, const SharedBytes& body) {
    // Taken away: the connection ends at once.
    if (device_ == nullptr) return {};
    struct Handler {
        RecordChannel& channel;
        Result<> operator()(const sound::Mode& message) { return channel.set_mode(message.mode); }
        Result<> operator()(const sound::Data& message) {
            return channel.take(message.data.contiguous());
        }
        Result<> operator()(const sound::StartMark&) { return {}; }
    };
    return sound::dispatch_from_client(number, body, Handler{*this});
}

Result<> RecordChannel::set_mode(wire::AudioDataMode mode) {
    decoder_.reset();
    if (mode == wire::AudioDataMode::raw) return {};
    if (mode != wire::AudioDataMode::opus || device_->rate() != codec::kOpusFrequency) {
        return fail(ErrorCode::protocol, "{}: sound in mode {} at {} Hz; raw is always taken",
                    name_of(key()), static_cast<unsigned>(mode), device_->rate());
    }
    decoder_ = TRY(codec::SoundDecoder::make(kSoundChannels));
    return {};
}

Result<> RecordChannel::take(const SharedBytes& packet) {
    if (!device_->is_active()) return {};
    if (packet.empty())
        return fail(ErrorCode::protocol, "{}: a packet without sound", name_of(key()));
    if (decoder_) {
        const std::vector<std::int16_t> samples = TRY(decoder_->decode(packet.view()));
        std::vector<SoundFrame> frames(samples.size() / kSoundChannels);
        std::memcpy(frames.data(), samples.data(), frames.size() * sizeof(SoundFrame));
        device_->heard(*this, frames);
        return {};
    }
    if (packet.size() % sizeof(SoundFrame) != 0) {
        return fail(ErrorCode::protocol, "{}: {} bytes are no whole frames of {}", name_of(key()),
                    packet.size(), sizeof(SoundFrame));
    }
    std::vector<SoundFrame> frames(packet.size() / sizeof(SoundFrame));
    std::memcpy(frames.data(), packet.data(), packet.size());
    device_->heard(*this, frames);
    return {};
}

}  // namespace segue::spice::server
