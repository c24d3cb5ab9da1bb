// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/client/display_channel.h"

namespace segue::spice::client {

namespace display = wire::display;

DisplayChannel::DisplayChannel(ChannelKey key, ChannelHost& host, const Settings& settings,
                               Loop& loop, DrawingQueue& queue,
                               std::shared_ptr<SharedCaches> shared, OnNews on_news)
    : Channel(key, host),
      settings_(settings),
      on_news_(std::move(on_news)),
      painter_(Painter::make(loop, queue, std::move(shared),
                             [this](const DisplayNews& news) { this->on_news(news); })) {}

wire::Capabilities DisplayChannel::capabilities() const {
    using display::Capability;
    return wire::Capabilities::of({Capability::sized_stream, Capability::monitors_config,
                                   Capability::composite, Capability::a8_surface,
                                   Capability::lz4_compression, Capability::pref_compression,
                                   Capability::multi_codec, Capability::codec_mjpeg});
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
    pending_bytes_ += message.body.size();
    ++pending_messages_;
    painter_->enqueue(message.number, message.body, generation_);
    return {};
}

void DisplayChannel::on_reset(ResetReason reason) {
    const bool keep_picture = reason != ResetReason::gone;
    waiting_for_picture_ = keep_picture;
    painter_->reset(keep_picture);
}

bool DisplayChannel::is_overloaded() const {
    return pending_bytes_ > kMaxPendingBytes || pending_messages_ > kMaxPendingMessages;
}

void DisplayChannel::on_news(const DisplayNews& news) {
    pending_bytes_ -= std::min(pending_bytes_, news.bytes);
    pending_messages_ -= std::min(pending_messages_, news.messages);
    if (!is_overloaded()) acknowledge();
    waiting_for_picture_ = news.waiting_for_picture;
    on_news_(key(), news);
}

}  // namespace segue::spice::client
