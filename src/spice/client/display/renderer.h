// SPDX-License-Identifier: LGPL-2.1-or-later
// One display channel's messages turned into pixels. It does no I/O and keeps no thread: whoever
// calls it decides where that happens.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "spice/canvas/draw.h"
#include "spice/client/display/image_source.h"
#include "spice/client/display/shared_caches.h"
#include "spice/client/display/streams.h"
#include "spice/client/display/surface_store.h"
#include "spice/wire/display.schema.h"
#include "spice/wire/drawing.schema.h"

namespace segue::spice::client {

class Renderer {
  public:
    explicit Renderer(SharedCaches& shared)
        : shared_(shared), surfaces_(shared.surfaces), images_(shared, surfaces_) {}

    // A message of the display channel from the server. An error is the server's fault and names
    // it.
    Result<> handle(std::uint16_t number, const wire::SharedBytes& body);

    // The channel starts anew; `keep_picture` as SurfaceStore::clear.
    void reset(bool keep_picture);

    SurfaceStore& surfaces() { return surfaces_; }
    // The heads that the guest last named; `take_` returns true once for each change.
    const std::vector<wire::display::Head>& heads() const { return heads_; }
    bool take_heads_changed() { return std::exchange(heads_changed_, false); }
    // Draw and stream commands that were handled, for statistics.
    std::uint64_t commands() const { return commands_; }
    // How the last picture or video frame was packed.
    std::string_view codec() const { return streams_.empty() ? images_.last_codec() : "mjpeg"; }

  private:
    // Surfaces and caches.
    Result<> on(const wire::display::Mode& message);
    Result<> on(const wire::display::Mark& message);
    Result<> on(const wire::display::Reset& message);
    Result<> on(const wire::display::SurfaceCreate& message);
    Result<> on(const wire::display::SurfaceDestroy& message);
    Result<> on(const wire::display::InvalList& message);
    Result<> on(const wire::display::InvalAllPixmaps& message);
    Result<> on(const wire::display::InvalPalette& message);
    Result<> on(const wire::display::InvalAllPalettes& message);
    Result<> on(const wire::display::MonitorsConfig& message);
    // Drawing.
    Result<> on(const wire::display::CopyBits& message);
    Result<> on(const wire::display::DrawFill& message);
    Result<> on(const wire::display::DrawOpaque& message);
    Result<> on(const wire::display::DrawCopy& message);
    Result<> on(const wire::display::DrawBlend& message);
    Result<> on(const wire::display::DrawBlackness& message);
    Result<> on(const wire::display::DrawWhiteness& message);
    Result<> on(const wire::display::DrawInvers& message);
    Result<> on(const wire::display::DrawRop3& message);
    Result<> on(const wire::display::DrawStroke& message);
    Result<> on(const wire::display::DrawText& message);
    Result<> on(const wire::display::DrawTransparent& message);
    Result<> on(const wire::display::DrawAlphaBlend& message);
    Result<> on(const wire::display::DrawComposite& message);
    // Video.
    Result<> on(const wire::display::StreamCreate& message);
    Result<> on(const wire::display::StreamData& message);
    Result<> on(const wire::display::StreamClip& message);
    Result<> on(const wire::display::StreamDestroy& message);
    Result<> on(const wire::display::StreamDestroyAll& message);
    Result<> on(const wire::display::StreamDataSized& message);
    Result<> on(const wire::display::StreamActivateReport& message);
    // Not for us: no capability of ours asks for them.
    Result<> on(const wire::display::GlScanoutUnix& message);
    Result<> on(const wire::display::GlDraw& message);
    Result<> on(const wire::display::QualityIndicator& message);

    // A command with its surface, its region and what it needs held.
    struct Drawing {
        canvas::Image* target = nullptr;
        canvas::Rect box;
        canvas::Region region;
        ImageHolder mask;
        canvas::Mask cut;
        std::optional<canvas::Stencil> stencil;
    };
    // `may_replace`: the target's own pixels are asked for when it is known that they are needed.
    Result<Drawing> begin(const wire::display::DrawBase& base,
                          const wire::display::Mask* mask = nullptr, bool may_replace = false);
    struct HeldBrush {
        canvas::Brush brush;
        ImageHolder tile;
    };
    Result<HeldBrush> brush_of(const wire::display::Brush& brush, const canvas::Image& target);
    static bool is_whole_surface(const Drawing& drawing, const canvas::Image& picture,
                                 const canvas::Rect& area, canvas::Rop rop);
    bool take_place(const Drawing& drawing, std::uint32_t surface, ImageHolder& image);
    void finish(const wire::display::DrawBase& base, const Drawing& drawing);
    Result<> fill_with(const wire::display::DrawBase& base, const wire::display::Mask& mask,
                       canvas::Rop rop);
    template <class Message>
    Result<> copy_picture(const Message& message);
    Result<> show_frame(Stream& stream, ByteView data, const canvas::Rect& where);

    SharedCaches& shared_;
    SurfaceStore surfaces_;
    ImageSource images_;
    StreamTable streams_;
    std::vector<wire::display::Head> heads_;
    bool heads_changed_ = false;
    std::uint64_t commands_ = 0;
};

}  // namespace segue::spice::client
