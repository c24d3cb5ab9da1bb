// SPDX-License-Identifier: LGPL-2.1-or-later
// The client half of a display: what one client has, and what it is sent. There is no queue of
// drawing commands: what cannot be sent now becomes a stale region of the surface, and pump() sends
// the newest pixels of stale regions as fast as the client takes them.
#pragma once

#include <functional>
#include <map>

#include "spice/control/messages.h"
#include "spice/server/channel.h"
#include "spice/server/display/client/client_caches.h"
#include "spice/server/display/client/knowledge.h"
#include "spice/server/display/client/tile_digests.h"
#include "spice/server/display/encode/image_encoder.h"
#include "spice/server/display/guest/guest_display.h"
#include "spice/server/display/video/stream_rate.h"
#include "spice/server/display/video/video_areas.h"
#include "spice/server/line_estimate.h"
#include "spice/wire/display.schema.h"

namespace segue::spice::server {

class DisplayChannel final : public Channel {
  public:
    // `caches` is the client's, shared by its displays.
    DisplayChannel(const ChannelSetup& setup, ChannelOutput& output, const GuestDisplay& guest,
                   const EncoderOptions& options, std::shared_ptr<ClientCaches> caches,
                   const Clock& clock);
    ~DisplayChannel() override;

    void start() override;
    void on_room() override;

    // What happened in the guest half. A surface that is made or destroyed is told to the client by
    // the next pump(): what does not last that long is never seen.
    void drawn(const Drawing& drawing);
    void surface_created(std::uint32_t id);
    void image_cache_reset();
    // Sends what is stale, as far as there is room.
    void pump();
    // Called now and then while has_lossy(): what was lossy at the last call and was not drawn
    // since becomes exact.
    void rest();
    bool has_lossy() const;
    // What the embedder configured; the client's own wish goes before it.
    void set_options(const EncoderOptions& options);

    // The client comes with its machine, which has not arrived: it keeps the picture that it has
    // until machine_arrived(), so that it never sees what the device shows before.
    void wait_for_machine() { waits_for_machine_ = true; }
    void machine_arrived();
    bool waits_for_machine() const { return waits_for_machine_; }

    // The client has sent DISPLAY_INIT, or its state came from another server.
    bool is_ready() const { return ready_ && !is_held() && !waits_for_machine_ && !frozen_; }
    // What the client has is what is here: it may see it at once.
    bool shows_this_machine() const;

    std::optional<Bytes> carried_state(bool freeze) override;
    void thaw() override;
    Bytes shown() const override;
    Result<> take_shown(const wire::SharedBytes& shown) override;
    // The client says what it prefers when the state that says so has gone: for the target.
    std::function<void(ImageCompression)> on_late_wish;
    // Somebody waits for this thread: what is stale stays so until the next pump(), which follows.
    std::function<bool()> must_yield = [] { return false; };
    // Frames of this client's videos come so long before they are due, from now on.
    std::function<void(Duration)> on_video_lead;
    void take_late_wish(ImageCompression wish);
    const Knowledge& knowledge() const { return knowledge_; }
    const ImageEncoder& encoder() const { return encoder_; }
    const EncoderOptions& options() const { return options_; }
    const LineEstimate& line() const { return line_; }
    // What the client was sent, and how.
    control::PictureStatus status() const;

  private:
    struct Handler;
    Result<> handle(std::uint16_t number, const wire::SharedBytes& body) override;
    std::uint32_t migrate_flags() const override;
    Bytes migrate_data() override;
    Result<> restore(const wire::SharedBytes& blob) override;
    void go_without_data() override;
    void add_knowledge(Knowledge late);
    void before_migrate() override;
    void message_sent(std::size_t bytes, bool ends_window) override;
    void ack_synced() override;
    void window_acked() override;

    Result<> init(const wire::display::Init& message);
    void apply_options();
    void use_dictionary();
    std::uint64_t image_share() const;
    SharedImages& shared_images() { return caches_->images(knowledge_.pixmap_cache_id); }
    void await_empty_images();
    bool may_use_images();
    bool use_images();
    void empty_images();
    void forget_images(const std::vector<std::uint64_t>& ids);

    // display_leaving.cpp
    void leave_costly();
    void leave_off_screen();
    void complete_picture();

    // display_sending.cpp
    bool has_room() const { return leaves_ || (can_send() && !must_yield()); }
    bool is_shown(std::uint32_t surface) const;
    void spare_what_is_shown();
    void sync_surfaces();
    SurfaceKnowledge* at_client(const Surface& surface);
    std::map<std::uint32_t, SurfaceKnowledge>::iterator destroy_surface(
        std::map<std::uint32_t, SurfaceKnowledge>::iterator known);
    void create_surface(const Surface& surface);
    MonitorsConfig visible_monitors() const;
    void sync_monitors();
    std::vector<canvas::Rect> parts_of(const Surface& surface, const canvas::Rect& rect) const;
    bool send_stale(const Surface& surface, SurfaceKnowledge& known);
    void send_repairs();
    void send_image(const Surface& surface, SurfaceKnowledge& known, const canvas::Rect& rect,
                    bool lossless);
    void send_plain(const Surface& surface, const canvas::Rect& box, const canvas::Region& region,
                    std::uint32_t color);
    Result<EncodedImage> encode(const canvas::Image& picture, const canvas::Rect& rect,
                                bool lossless);

    // display_operations.cpp
    bool send_operation(const Drawing& drawing);
    bool send_fill(const Drawing& drawing, SurfaceKnowledge& known);
    bool send_move(const Drawing& drawing, SurfaceKnowledge& known);
    bool send_cached(const Drawing& drawing, SurfaceKnowledge& known);
    std::optional<wire::display::Image> cached_image(const Drawing& drawing);
    bool send_from_surface(const Drawing& drawing, SurfaceKnowledge& known);
    bool complete_source(const Surface& source, SurfaceKnowledge& known,
                         const canvas::Region& needed);

    // display_streams.cpp
    struct Stream {
        StreamRate rate;
        Instant last_frame{};
        std::uint32_t report_id = 0;
    };
    void begin_stream(std::uint32_t surface, const canvas::Rect& area,
                      const StreamRate::Pace& pace = {});
    void note_paces();
    void end_streams(std::uint32_t surface);
    void end_idle_streams();
    void end_videos();
    void tell_video_lead();
    void find_video(const Surface& surface, const canvas::Rect& rect);
    bool in_stream(std::uint32_t surface, const canvas::Region& region) const;
    void send_frames(const Surface& surface, SurfaceKnowledge& known);
    void send_frame(std::uint32_t id, Stream& stream, const Surface& surface);
    void stream_report(const wire::display::StreamReport& report);

    const GuestDisplay& guest_;
    const std::shared_ptr<ClientCaches> caches_;
    const Clock& clock_;
    EncoderOptions options_;
    ImageEncoder encoder_;
    LineEstimate line_;
    Knowledge knowledge_;
    VideoAreas videos_;
    std::map<std::uint32_t, Stream> streams_;  // what is not `knowledge` about its streams
    std::uint32_t stream_reports_ = 0;
    Duration told_lead_{};
    Duration encode_time_{};
    std::uint64_t frames_ = 0;  // of streams
    bool ready_ = false;
    bool waits_for_machine_ = false;
    bool frozen_ = false;
    // MIGRATE follows: what is sent now waits for no room.
    bool leaves_ = false;
    // Said later than the state that is still to come.
    std::optional<ImageCompression> late_wish_;
    // How often the image cache was emptied, as far as this channel has told the client to wait.
    std::uint64_t images_generation_ = 0;
    // By surface: what the client showed when its machine left the other server. Used once, before
    // it is sent anything.
    std::map<std::uint32_t, TileDigests> came_showing_;
    // While the state of the source is awaited: where the surfaces here are not what the machine
    // brought along.
    std::map<std::uint32_t, canvas::Region> drawn_while_held_;
    // The guest gave its images up while the state that names them was on its way.
    bool forgot_images_meanwhile_ = false;
    // By off-screen surface: not drawn since it was last copied to where the client lacked it.
    std::map<std::uint32_t, canvas::Region> copied_once_;
    // By surface: lossy and not drawn since the last rest(); and of that, what is to be repaired.
    std::map<std::uint32_t, canvas::Region> resting_;
    std::map<std::uint32_t, canvas::Region> repairs_;
};

}  // namespace segue::spice::server
