// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/client/sound/record_channel.h"

namespace segue::spice::client {

namespace record = wire::record;
using wire::AudioDataMode;

wire::Capabilities RecordChannel::capabilities() const {
    using record::Capability;
    return wire::Capabilities::of({Capability::volume, Capability::opus});
}

Result<> RecordChannel::handle(const wire::IncomingMessage& message) {
    return record::dispatch_from_server(message.number, message.body,
                                        [this](const auto& parsed) { return on(parsed); });
}

void RecordChannel::on_server(const wire::Capabilities& server) {
    server_takes_opus_ = server.has(record::Capability::opus);
}

void RecordChannel::on_reset(ResetReason reason) {
    (void)reason;
    stop();
    volume_ = {};
}

void RecordChannel::stop() {
    encoder_.reset();
    waiting_.clear();
    begun_ = false;
    if (std::exchange(format_, std::nullopt)) listener_.on_record_stop();
}

Result<> RecordChannel::on(const record::Start& message) {
    if (message.format != wire::AudioFormat::s16) {
        return fail(ErrorCode::no_support, "recording of format {}: samples have 16 bits",
                    static_cast<int>(message.format));
    }
    const SoundFormat format{message.channels, message.frequency};
    TRY(check_format(format));
    stop();
    format_ = format;
    const bool opus = server_takes_opus_ && format.frequency == codec::kOpusFrequency &&
                      format.channels <= codec::kOpusMaxChannels;
    if (opus) encoder_ = TRY(codec::SoundEncoder::make(format.channels));
    listener_.on_record_start(format);
    return {};
}

Result<> RecordChannel::on(const record::Stop&) {
    stop();
    return {};
}

Result<> RecordChannel::on(const record::Volume& message) {
    volume_.channels = message.volume;
    listener_.on_record_volume(volume_);
    return {};
}

Result<> RecordChannel::on(const record::Mute& message) {
    volume_.muted = message.mute;
    listener_.on_record_volume(volume_);
    return {};
}

void RecordChannel::begin(std::uint32_t media_time) {
    if (std::exchange(begun_, true)) return;
    say(record::Mode{media_time, encoder_ ? AudioDataMode::opus : AudioDataMode::raw, {}});
    say(record::StartMark{media_time});
}

void RecordChannel::give(std::span<const std::int16_t> samples, std::uint32_t media_time) {
    // Sound that waits for a connection is heard too late to be of use.
    if (!format_ || !is_attached()) return;
    begin(media_time);
    if (volume_.muted) return;
    waiting_.insert(waiting_.end(), samples.begin(), samples.end());
    const std::size_t packet = codec::kOpusFrames * format_->channels;
    std::size_t used = 0;
    for (; waiting_.size() - used >= packet; used += packet)
        send_packet(std::span(waiting_).subspan(used, packet), media_time);
    waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(used));
}

void RecordChannel::send_packet(std::span<const std::int16_t> samples, std::uint32_t media_time) {
    record::Data message;
    message.time = media_time;
    if (encoder_) {
        auto packet = encoder_->encode(samples);
        if (!packet) return log_warning("spice", "recording: {}", packet.error().message);
        message.data.append(wire::SharedBytes::take(std::move(*packet)));
    } else {
        message.data.append(wire::SharedBytes::copy(
            {reinterpret_cast<const std::uint8_t*>(samples.data()), samples.size_bytes()}));
    }
    say(message);
}

}  // namespace segue::spice::client
