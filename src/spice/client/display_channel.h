// SPDX-License-Identifier: LGPL-2.1-or-later
// The display channel on the loop's thread: it says what we can, and passes the rest to the
// painter.
#pragma once

#include "spice/client/channel.h"
#include "spice/client/display/painter.h"
#include "spice/client/display/stream_pacer.h"
#include "spice/client/media_clock.h"

namespace segue::spice::client {

class DisplayChannel final : public Channel {
  public:
    using OnNews = std::function<void(ChannelKey, const DisplayNews&)>;

    DisplayChannel(ChannelKey key, ChannelHost& host, const Settings& settings, Loop& loop,
                   DrawingQueue& queue, std::shared_ptr<SharedCaches> shared,
                   const MediaClock& clock, OnNews on_news);
    ~DisplayChannel() override { painter_->stop(); }

    wire::Capabilities capabilities() const override;

    Painter& painter() { return *painter_; }
    // Messages from now on are of this server.
    void set_generation(std::uint64_t generation) { generation_ = generation; }
    // A hand-over waits for the new server's picture.
    bool is_waiting_for_picture() const { return waiting_for_picture_; }
    bool is_overwhelmed() const override;

  private:
    Result<> handle(const wire::IncomingMessage& message) override;
    void on_up(const wire::Capabilities& server) override;
    void on_reset(ResetReason reason) override;
    bool is_overloaded() const override;
    std::optional<std::uint64_t> first_unfinished() const override;
    void on_news(const DisplayNews& news);
    // Video: true when the message was taken, and will be drawn in its time.
    Result<bool> handle_video(const wire::IncomingMessage& message);
    void add_frame(std::uint32_t stream, std::uint32_t time, const wire::IncomingMessage& message);
    void show_frames();
    void draw(std::uint16_t number, wire::SharedBytes body, std::uint64_t generation,
              std::uint64_t serial);

    // Beyond this the server is not acknowledged, and stops after two windows; beyond twice as much
    // nothing is read.
    std::size_t unshown_bytes() const { return pending_bytes_ + pacer_.waiting_bytes(); }
    static constexpr std::size_t kMaxPendingBytes = std::size_t{32} << 20;
    static constexpr std::size_t kMaxPendingMessages = 1024;

    const Settings& settings_;
    OnNews on_news_;
    Loop& loop_;
    const MediaClock& clock_;
    std::shared_ptr<Painter> painter_;
    StreamPacer pacer_;
    std::unique_ptr<Timer> frame_timer_;
    std::uint64_t generation_ = 0;
    std::size_t pending_bytes_ = 0;
    // The serials of what the painter has not drawn yet. 0: nobody waits for it.
    std::deque<std::uint64_t> pending_;
    bool waiting_for_picture_ = false;
};

}  // namespace segue::spice::client
