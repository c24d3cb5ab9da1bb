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
    explicit ImageCache(std::int64_t max_pixels,
                        std::shared_ptr<wire::MemoryBudget> memory = nullptr)
        : max_pixels_(max_pixels), room_(std::move(memory)) {}

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
    bool count(std::int64_t pixels);

    std::int64_t max_pixels_;
    wire::Reservation room_;
    std::int64_t pixels_ = 0;
    std::map<std::uint64_t, canvas::SharedImage> images_;
};

// How many pictures the GLZ window keeps: that itself counts their pixels, and a picture of one
// pixel costs some 200 bytes besides.
class GlzCount {
  public:
    static constexpr std::size_t kMaxPictures = std::size_t{1} << 18;

    // A picture that the window has taken. Errors: limit_exceeded.
    Result<> add(const std::shared_ptr<const codec::GlzPicture>& picture);
    void clear() { pictures_.clear(); }

  private:
    // Looked at when so many more have come.
    static constexpr std::size_t kSweep = 4096;

    // Those that the window has let go since are swept out when the list is long.
    std::vector<std::weak_ptr<const codec::GlzPicture>> pictures_;
    std::size_t sweep_at_ = kSweep;
};

class Painter;

struct SharedCaches {
    // `glz_pixels`: the window that DISPLAY_INIT announced. Pictures of several displays may come
    // out of order, so twice as much is kept.
    // `memory`: of the session; none: no bound but those of each.
    SharedCaches(std::int64_t image_cache_pixels, std::int32_t glz_pixels,
                 std::shared_ptr<wire::MemoryBudget> session_memory = nullptr)
        : memory(session_memory),
          surfaces(session_memory),
          images(image_cache_pixels, session_memory),
          glz(2 * static_cast<std::size_t>(glz_pixels)),
          glz_room(session_memory) {}

    void clear() {
        images.clear();
        glz.clear();
        glz_count.clear();
        glz_room.resize(0);
        glz_waits_for.reset();
    }

    std::shared_ptr<wire::MemoryBudget> memory;
    SurfaceBudget surfaces;
    ImageCache images;
    codec::GlzWindow glz;
    GlzCount glz_count;
    wire::Reservation glz_room;
    std::uint64_t glz_decoded = 0;  // counts
    // Set with an error: the picture can be decoded when another display has brought this one.
    std::optional<std::uint64_t> glz_waits_for;
    // Displays with messages that wait for such a picture.
    std::vector<std::weak_ptr<Painter>> waiting;
};

}  // namespace segue::spice::client
