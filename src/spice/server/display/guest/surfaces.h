// SPDX-License-Identifier: LGPL-2.1-or-later
// The surfaces of a display device. Their pixels live in the embedder's memory (the guest's video
// memory, or QEMU's own buffer for a simple display); we draw into it and read from it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "base/result.h"
#include "spice/canvas/image.h"
#include "spice/server/device.h"
#include "spice/server/display/guest/memslots.h"
#include "spice/server/display/guest/pending_drawings.h"

namespace segue::spice::server {

struct Surface {
    explicit Surface(PendingDrawings none) : pending(std::move(none)) {}

    std::uint32_t id = 0;
    std::uint32_t format = 0;  // SPICE_SURFACE_FMT_*
    // A view of the embedder's memory, without what is pending: look at drawn_image() or at().
    canvas::Image image;
    std::uint32_t group = 0;  // of slots, that its memory is of
    // It was made around pixels that were there before: a machine that has moved here.
    bool has_kept_pixels = false;
    // Nothing was drawn yet, and every pixel is 0.
    bool is_blank = false;
    // Drawn since update_area last cleared it.
    canvas::Region drawn;
    // The command that created it, given back when the surface goes: a guest saves its address and
    // has it replayed after a migration.
    std::optional<QXLReleaseInfoExt> creator;
    // Who looks at a surface does not change it.
    mutable PendingDrawings pending;

    // The image, with everything drawn.
    const canvas::Image& drawn_image() const;
    // Where these pixels of the surface are; what is pending is drawn only if it must be.
    PendingDrawings::Place at(const canvas::Rect& rect) const;
};

// The canvas format of a SPICE_SURFACE_FMT_*.
Result<canvas::Format> canvas_format(std::uint32_t surface_format);

// Where the pixels of a surface are to be found.
struct SurfaceMemory {
    std::uint32_t width = 0;
    std::uint32_t height = 0;
    std::int32_t stride = 0;
    std::uint32_t format = 0;
    std::uint32_t group = 0;
    QXLPHYSICAL address = 0;
};

// Sets every pixel to 0.
void make_blank(Surface& surface);

class Surfaces {
  public:
    // `give_back` is called for each command that was pending.
    Surfaces(std::uint32_t most, PendingDrawings::GiveBack give_back,
             std::shared_ptr<PendingTotal> pending_total)
        : most_(most), give_back_(std::move(give_back)), pending_total_(std::move(pending_total)) {}

    // Fails when the id is taken or out of range, or the memory does not hold the surface.
    Result<Surface*> create(std::uint32_t id, const SurfaceMemory& memory,
                            const MemorySlots& slots);
    Surface* find(std::uint32_t id);
    const Surface* find(std::uint32_t id) const;
    bool erase(std::uint32_t id) { return by_id_.erase(id) > 0; }

    const std::map<std::uint32_t, Surface>& all() const { return by_id_; }
    std::map<std::uint32_t, Surface>& all() { return by_id_; }
    // Too much waits on them, or on those of the server's other displays.
    bool are_full() const { return pending_total_->is_full(); }

  private:
    std::uint32_t most_;
    PendingDrawings::GiveBack give_back_;
    std::shared_ptr<PendingTotal> pending_total_;
    std::map<std::uint32_t, Surface> by_id_;
};

}  // namespace segue::spice::server
