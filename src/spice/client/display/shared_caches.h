// SPDX-License-Identifier: LGPL-2.1-or-later
// What the display channels of one session share: pictures that the server may name again, and the
// bound of their surfaces. Used on the drawing thread only.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "spice/canvas/image.h"
#include "spice/client/display/surface_store.h"
#include "spice/codec/glz.h"

namespace segue::spice::client {

// By the server's picture id. The server keeps count of the size that DISPLAY_INIT announced.
class ImageCache {
  public:
    explicit ImageCache(std::int64_t max_pixels) : max_pixels_(max_pixels) {}

    // Null when it is not there.
    canvas::SharedImage find(std::uint64_t id) const {
        const auto found = images_.find(id);
        return found == images_.end() ? nullptr : found->second;
    }
    // Each costs its pixels and some 200 bytes besides, so their number is bounded, too: 50 MiB.
    static constexpr std::size_t kMaxImages = std::size_t{1} << 18;
    // Errors: limit_exceeded when the server has put in more than was announced.
    Result<> put(std::uint64_t id, canvas::SharedImage image);
    void erase(std::uint64_t id);
    void clear();
    std::int64_t pixels() const { return pixels_; }

  private:
    // A lossless picture may stand beside what it replaces for a moment.
    static constexpr std::int64_t kSlack = std::int64_t{1} << 24;

    std::int64_t max_pixels_;
    std::int64_t pixels_ = 0;
    std::map<std::uint64_t, canvas::SharedImage> images_;
};

class Painter;

struct SharedCaches {
    // `glz_pixels`: the window that DISPLAY_INIT announced. Pictures of several displays may come
    // out of order, so twice as much is kept.
    SharedCaches(std::int64_t image_cache_pixels, std::int32_t glz_pixels)
        : images(image_cache_pixels), glz(2 * static_cast<std::size_t>(glz_pixels)) {}

    void clear() {
        images.clear();
        glz.clear();
        glz_waits_for.reset();
    }

    SurfaceBudget surfaces;
    ImageCache images;
    codec::GlzWindow glz;
    std::uint64_t glz_decoded = 0;  // counts
    // Set with an error: the picture can be decoded when another display has brought this one.
    std::optional<std::uint64_t> glz_waits_for;
    // Displays with messages that wait for such a picture.
    std::vector<std::weak_ptr<Painter>> waiting;
};

}  // namespace segue::spice::client
