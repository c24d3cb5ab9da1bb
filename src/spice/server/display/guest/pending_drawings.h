// SPDX-License-Identifier: LGPL-2.1-or-later
// What a guest has drawn on a surface and nobody has looked at yet: fills, pictures and moves of
// the surface's own pixels, each of which leaves nothing of what was below. What is painted over
// meanwhile is never drawn, moves that follow each other are drawn as one, and who asks for just
// what a picture has painted is given the picture.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "spice/canvas/image.h"
#include "spice/server/device.h"

namespace segue::spice::server {

struct PendingDrawing {
    enum class Kind : std::uint8_t { fill, picture, move };
    Kind kind = Kind::fill;
    canvas::Region region;    // of the surface, and inside it
    std::uint32_t color = 0;  // fill: the surface's own pixel value
    // picture, move: pixel p shows what is at p + shift, of the picture (which has the surface's
    // format) or of the surface as it was before.
    canvas::Point shift;
    canvas::Image picture;  // may be a view of the guest's memory, which `release` keeps
    // Given back when the drawing is over.
    QXLReleaseInfoExt release{};
    canvas::Rect extents;  // of the region, once it is pending
};

// The bytes that wait on all surfaces of a server. Its displays count them, each on its own thread.
class PendingTotal {
  public:
    // With so many a display draws all that waits on its surfaces.
    static constexpr std::size_t kMostBytes = std::size_t{64} << 20;

    void add(std::size_t bytes) { bytes_.fetch_add(bytes, std::memory_order_relaxed); }
    void subtract(std::size_t bytes) { bytes_.fetch_sub(bytes, std::memory_order_relaxed); }
    std::size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }
    bool is_full() const { return bytes() >= kMostBytes; }

  private:
    std::atomic<std::size_t> bytes_{0};
};

class PendingDrawings {
  public:
    // More than so many drawings, or bytes of them and their pictures, are not kept from the guest.
    static constexpr std::size_t kMostDrawings = 512;
    static constexpr std::size_t kMostBytes = std::size_t{16} << 20;
    // A region of more rectangles costs more to keep account of than to draw.
    static constexpr std::size_t kMostRects = 16;

    using GiveBack = std::function<void(const QXLReleaseInfoExt&)>;
    explicit PendingDrawings(GiveBack give_back = {},
                             std::shared_ptr<PendingTotal> total = std::make_shared<PendingTotal>())
        : give_back_(std::move(give_back)), total_(std::move(total)) {}
    PendingDrawings(PendingDrawings&&) = default;
    PendingDrawings& operator=(PendingDrawings&&) = delete;
    ~PendingDrawings();

    // Gives back what nobody will see any more.
    void add(PendingDrawing drawing);
    bool empty() const { return drawings_.empty(); }
    bool is_full() const { return drawings_.size() >= kMostDrawings || bytes_ >= kMostBytes; }
    // Onto their surface, which is then as if each had been drawn when it came; all are given back,
    // also where memory is short: nothing is thrown.
    void draw(canvas::Image& surface);

    // Where a rectangle's pixels can be read although not everything is drawn. Nothing: they are
    // not in one place. Valid until the next call of another function.
    struct Place {
        const canvas::Image* image = nullptr;
        canvas::Rect rect;
    };
    std::optional<Place> find(const canvas::Image& surface, const canvas::Rect& rect) const;

  private:
    void give_back_hidden(const PendingDrawing& cover);
    void forget(std::size_t bytes);

    GiveBack give_back_;
    std::shared_ptr<PendingTotal> total_;   // none: it was moved from
    std::vector<PendingDrawing> drawings_;  // oldest first
    std::size_t bytes_ = 0;                 // of them and their pictures
    std::size_t moves_ = 0;
};

}  // namespace segue::spice::server
