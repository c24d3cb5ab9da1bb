// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/client/display_channel.h"

namespace segue::spice::client {

namespace display = wire::display;

DisplayChannel::DisplayChannel(ChannelKey key, ChannelHost& host, const Settings& settings,
                               Loop& loop, DrawingQueue& queue,
                               std::shared_ptr<SharedCaches> shared, const MediaClock& clock,
                               OnNews on_news)
    : Channel(key, host),
      settings_(settings),
      on_news_(std::move(on_news)),
      loop_(loop),
      clock_(clock),
      painter_(Painter::make(loop, queue, std::move(shared),
                             [this](const DisplayNews& news) { this->on_news(news); })),
      frame_timer_(loop.make_timer([this] { show_frames(); })) {}

wire::Capabilities DisplayChannel::capabilities() const {
    using display::Capability;
    return wire::Capabilities::of(
        {Capability::sized_stream, Capability::monitors_config, Capability::composite,
         Capability::a8_surface, Capability::lz4_compression, Capability::pref_compression,
         Capability::multi_codec, Capability::codec_mjpeg, Capability::stream_report});
}

void DisplayChannel::on_up(const wire::Capabilities& server) {
    display::Init init;
    // One cache and one window for the whole session, so one id for all displays.
    init.pixmap_cache_id = 1;
    init.pixmap_cache_size = settings_.image_cache_pixels;
    init.glz_dictionary_id = 1;
    init.glz_window_size = settings_.glz_window_pixels;
    say(init);
    if (settings_.preferred_compression && server.has(display::Capability::pref_compression)) {
        say(display::PreferredCompression{
            static_cast<display::ImageCompression>(*settings_.preferred_compression)});
    }
}

Result<> DisplayChannel::handle(const wire::IncomingMessage& message) {
    if (TRY(handle_video(message))) return {};
    draw(message.number, message.body, generation_, message.serial);
    return {};
}

void DisplayChannel::draw(std::uint16_t number, wire::SharedBytes body, std::uint64_t generation,
                          std::uint64_t serial) {
    pending_bytes_ += body.size();
    pending_.push_back(serial);
    painter_->enqueue(number, std::move(body), generation);
}

// --- Video ---------------------------------------------------------------------------------------

Result<bool> DisplayChannel::handle_video(const wire::IncomingMessage& message) {
    switch (message.number) {
        case display::StreamCreate::kFromServer:
            pacer_.create(TRY(wire::parse<display::StreamCreate>(message.body)).id);
            return false;
        case display::StreamDestroy::kFromServer:
            pacer_.destroy(TRY(wire::parse<display::StreamDestroy>(message.body)).id);
            return false;
        case display::StreamDestroyAll::kFromServer: pacer_.clear(); return false;
        case display::StreamActivateReport::kFromServer:
            pacer_.ask(TRY(wire::parse<display::StreamActivateReport>(message.body)));
            return false;
        case display::StreamData::kFromServer: {
            const auto frame = TRY(wire::parse<display::StreamData>(message.body));
            add_frame(frame.id, frame.multi_media_time, message);
            return true;
        }
        case display::StreamDataSized::kFromServer: {
            const auto frame = TRY(wire::parse<display::StreamDataSized>(message.body));
            add_frame(frame.id, frame.multi_media_time, message);
            return true;
        }
        default: return false;
    }
}

void DisplayChannel::add_frame(std::uint32_t stream, std::uint32_t time,
                               const wire::IncomingMessage& message) {
    const Instant now = loop_.now();
    pacer_.add(stream, time, {message.number, message.body, generation_}, clock_.at(now),
               clock_.sound_delay_ms(now).has_value());
    show_frames();
}

void DisplayChannel::show_frames() {
    const Instant now = loop_.now();
    const std::uint32_t media_time = clock_.at(now);
    const auto sound = clock_.sound_delay_ms(now);
    for (StreamPacer::Frame& frame : pacer_.take_due(media_time, sound.has_value()))
        draw(frame.number, std::move(frame.body), frame.generation, 0);
    for (const auto& report :
         pacer_.take_reports(media_time, sound.value_or(StreamPacer::kNoSound))) {
        if (is_attached()) say(report);
    }
    if (const auto next = pacer_.next_due_ms(media_time))
        frame_timer_->start(std::chrono::milliseconds(std::max(*next, 1u)));
}

// --- Load ----------------------------------------------------------------------------------------

void DisplayChannel::on_reset(ResetReason reason) {
    const bool keep_picture = reason != ResetReason::gone;
    waiting_for_picture_ = keep_picture;
    pacer_.clear();
    frame_timer_->cancel();
    painter_->reset(keep_picture);
    // They are of a server whose numbers mean nothing any more.
    std::fill(pending_.begin(), pending_.end(), 0);
}

// Other displays wait for pictures of this one. A frame of a video goes into no cache, so the time
// that it waits for does not matter to them.
std::optional<std::uint64_t> DisplayChannel::first_unfinished() const {
    const auto first = std::find_if(pending_.begin(), pending_.end(),
                                    [](std::uint64_t serial) { return serial != 0; });
    if (first == pending_.end()) return {};
    return *first;
}

bool DisplayChannel::is_overloaded() const {
    return unshown_bytes() > kMaxPendingBytes || pending_.size() > kMaxPendingMessages;
}

bool DisplayChannel::is_overwhelmed() const {
    return unshown_bytes() > 2 * kMaxPendingBytes || pending_.size() > 2 * kMaxPendingMessages;
}

void DisplayChannel::on_news(const DisplayNews& news) {
    pending_bytes_ -= std::min(pending_bytes_, news.bytes);
    const std::size_t drawn = std::min(pending_.size(), news.messages);
    pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(drawn));
    if (!is_overloaded()) acknowledge();
    waiting_for_picture_ = news.waiting_for_picture;
    on_news_(key(), news);
}

}  // namespace segue::spice::client
