// SPDX-License-Identifier: LGPL-2.1-or-later
// The client half of a display: what one client has, and what it is sent. There is no queue of
// drawing commands: what cannot be sent now becomes a stale region of the surface, and pump() sends
// the newest pixels of stale regions as fast as the client takes them.
#pragma once

#include "spice/server/channel.h"
#include "spice/server/display/client/knowledge.h"
#include "spice/server/display/encode/image_encoder.h"
#include "spice/server/display/guest/guest_display.h"
#include "spice/wire/display.schema.h"

namespace segue::spice::server {

class DisplayChannel final : public Channel {
  public:
    DisplayChannel(const ChannelSetup& setup, ChannelOutput& output, const GuestDisplay& guest,
                   const EncoderOptions& options);

    void start() override;
    void on_room() override { pump(); }

    // What happened in the guest half. A surface that is made or destroyed is told to the client by
    // the next pump(): what does not last that long is never seen.
    void drawn(const Drawing& drawing);
    void surface_created(std::uint32_t id);
    void image_cache_reset();
    // Sends what is stale, as far as there is room.
    void pump();
    void set_options(const EncoderOptions& options) { encoder_.set_options(options); }

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
    const Knowledge& knowledge() const { return knowledge_; }
    const ImageEncoder& encoder() const { return encoder_; }

  private:
    struct Handler;
    Result<> handle(std::uint16_t number, const wire::SharedBytes& body) override;
    std::uint32_t migrate_flags() const override;
    Bytes migrate_data() override;
    Result<> restore(const wire::SharedBytes& blob) override;
    void go_without_data() override { ready_ = true; }

    Result<> init(const wire::display::Init& message);
    bool is_shown(std::uint32_t surface) const;
    void sync_surfaces();
    void create_surface(const Surface& surface);
    void sync_monitors();
    bool send_stale(const Surface& surface, SurfaceKnowledge& known);
    void send_image(const Surface& surface, const canvas::Rect& rect);
    bool send_fill(const Drawing& drawing, SurfaceKnowledge& known);
    bool send_move(const Drawing& drawing, SurfaceKnowledge& known);

    const GuestDisplay& guest_;
    ImageEncoder encoder_;
    Knowledge knowledge_;
    bool ready_ = false;
    bool waits_for_machine_ = false;
    bool frozen_ = false;
    // While the state of the source is awaited: where the surfaces here are not what the machine
    // brought along.
    std::map<std::uint32_t, canvas::Region> drawn_while_held_;
};

}  // namespace segue::spice::server
