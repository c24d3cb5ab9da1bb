// SPDX-License-Identifier: LGPL-2.1-or-later
// From an image of the wire to pixels: decoded, or out of a cache, or a surface.
#pragma once

#include <map>
#include <vector>

#include "spice/canvas/image.h"
#include "spice/client/display/shared_caches.h"
#include "spice/client/display/surface_store.h"
#include "spice/wire/drawing.schema.h"

namespace segue::spice::client {

// Pixels for one command: shared ones, or a surface's own.
class ImageHolder {
  public:
    ImageHolder() = default;
    explicit ImageHolder(canvas::SharedImage shared)
        : shared_(std::move(shared)), image_(shared_.get()) {}
    explicit ImageHolder(const canvas::Image* surface) : image_(surface) {}

    const canvas::Image* get() const { return image_; }

  private:
    canvas::SharedImage shared_;
    const canvas::Image* image_ = nullptr;
};

class ImageSource {
  public:
    ImageSource(SharedCaches& shared, SurfaceStore& surfaces)
        : shared_(shared), surfaces_(surfaces) {}

    // `target`: palettes of a 16-bit surface hold its pixel values.
    // Errors: protocol or limit_exceeded, which name the image.
    Result<ImageHolder> get(const wire::display::Image& image, const canvas::Image& target);
    // One bit a pixel.
    Result<ImageHolder> get_mask(const wire::display::Image& image);

    void forget_palette(std::uint64_t id) { palettes_.erase(id); }
    void forget_palettes() { palettes_.clear(); }

    // How the last picture was packed, for statistics.
    std::string_view last_codec() const { return last_codec_; }

  private:
    using Entries = std::vector<std::uint32_t>;

    Result<canvas::SharedImage> decode(const wire::display::Image& image,
                                       canvas::Format palette_format);
    Result<canvas::SharedImage> decode_glz(ByteView data);
    // Finds the palette that the image carries or names, and keeps it if that is wanted.
    Result<Entries> palette_of(wire::display::BitmapFlags flags, std::uint64_t id,
                               const std::optional<wire::display::Palette>& palette);

    // Stock servers keep 128 for a client.
    static constexpr std::size_t kMaxPalettes = 1024;

    SharedCaches& shared_;
    SurfaceStore& surfaces_;
    std::map<std::uint64_t, Entries> palettes_;
    std::string_view last_codec_;
};

}  // namespace segue::spice::client
