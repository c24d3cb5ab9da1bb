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

// Pixels for one command: shared ones, those of a surface, or some that nobody else knows.
class ImageHolder {
  public:
    ImageHolder() = default;
    explicit ImageHolder(canvas::SharedImage shared)
        : shared_(std::move(shared)), image_(shared_.get()) {}
    explicit ImageHolder(const canvas::Image* surface) : image_(surface) {}
    explicit ImageHolder(canvas::Image own)
        : own_(std::make_unique<canvas::Image>(std::move(own))), image_(own_.get()) {}

    const canvas::Image* get() const { return image_; }
    // Null where others may see the picture.
    canvas::Image* own() { return own_.get(); }
    // From now on others may; not for a surface.
    canvas::SharedImage share() {
        if (own_) shared_ = std::move(own_);
        return shared_;
    }

  private:
    canvas::SharedImage shared_;
    std::unique_ptr<canvas::Image> own_;
    const canvas::Image* image_ = nullptr;
};

class ImageSource {
  public:
    ImageSource(SharedCaches& shared, SurfaceStore& surfaces)
        : shared_(shared), surfaces_(surfaces), spare_room_(shared.memory) {}

    // `target`: palettes of a 16-bit surface hold its pixel values.
    // Errors: protocol or limit_exceeded, which name the image.
    Result<ImageHolder> get(const wire::display::Image& image, const canvas::Image& target);
    // One bit a pixel.
    Result<ImageHolder> get_mask(const wire::display::Image& image);
    // A picture that is no longer needed; its memory serves for the next one.
    void give_back(canvas::Image image) {
        const std::size_t size = image.capacity();
        if (size <= kMaxSpare && size > spare_.capacity() && spare_room_.resize(size))
            spare_ = std::move(image);
    }
    canvas::Image take_spare() {
        spare_room_.resize(0);
        return std::exchange(spare_, {});
    }
    void drop_spare() { take_spare(); }

    void forget_palette(std::uint64_t id) { palettes_.erase(id); }
    void forget_palettes() { palettes_.clear(); }

    // How the last picture was packed, for statistics.
    std::string_view last_codec() const { return last_codec_; }

  private:
    using Entries = std::vector<std::uint32_t>;

    // `old` as in decode.h.
    Result<ImageHolder> decode(const wire::display::Image& image, canvas::Format palette_format,
                               canvas::Image old);
    Result<ImageHolder> decode_glz(ByteView data);
    // Finds the palette that the image carries or names, and keeps it if that is wanted.
    Result<Entries> palette_of(wire::display::BitmapFlags flags, std::uint64_t id,
                               const std::optional<wire::display::Palette>& palette);

    // Stock servers keep 128 for a client.
    static constexpr std::size_t kMaxPalettes = 1024;
    static constexpr std::size_t kMaxSpare = std::size_t{64} << 20;

    SharedCaches& shared_;
    SurfaceStore& surfaces_;
    std::map<std::uint64_t, Entries> palettes_;
    std::string_view last_codec_;
    canvas::Image spare_;
    wire::Reservation spare_room_;
};

}  // namespace segue::spice::client
