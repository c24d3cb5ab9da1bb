// SPDX-License-Identifier: LGPL-2.1-or-later
// What a row of pending drawings comes to: each pixel of the surface is moved once, from where it
// comes in the end, and then what was drawn is drawn where it is seen in the end.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "spice/server/display/guest/pending_drawings.h"

namespace segue::spice::server {

class DrawingPlan {
  public:
    // Beyond these it is cheaper to begin another plan for what is older.
    static constexpr std::size_t kMostPieces = 24;
    static constexpr std::size_t kMostRects = 256;
    static constexpr std::size_t kMostPartRects = 4096;  // of all that is drawn
    // Pixels. To paint over so few costs less than to keep account of where they are hidden.
    static constexpr std::int64_t kSmallArea = 4096;

    // For the newest of the drawings (oldest first, at least one), which outlive the plan. It is to
    // be drawn over the older ones.
    static DrawingPlan make(std::span<const PendingDrawing> drawings);
    // How many it is for.
    std::size_t size() const { return drawings_.size(); }
    void draw(canvas::Image& surface) const;

  private:
    // Pixel p of the region shows what was at p + shift of the surface.
    struct Piece {
        canvas::Region region;
        canvas::Point shift;
    };
    // It shows p + shift of the drawing's picture, or its colour.
    struct Part {
        const PendingDrawing* drawing;
        canvas::Region region;
        canvas::Point shift;
    };
    void go_back_before(const PendingDrawing& drawing);
    void add_piece(canvas::Region region, canvas::Point shift);
    bool is_cheap() const;
    void sort_moves();
    std::optional<std::vector<canvas::Image>> take_aside(const canvas::Image& surface) const;

    std::span<const PendingDrawing> drawings_;
    std::vector<Piece> pieces_;
    // Those that read what others write, in a circle: they are taken aside first, and drawn last.
    std::vector<Piece> aside_;
    std::vector<Part> parts_;
    std::size_t part_rects_ = 0;
};

// Draws this region of a drawing; `shift` in place of its own.
void draw_part(canvas::Image& surface, const PendingDrawing& drawing, const canvas::Region& region,
               canvas::Point shift);

// Slower than a plan, and with no memory of its own.
void draw_one_by_one(canvas::Image& surface, std::span<const PendingDrawing> drawings);

canvas::Rect shifted(const canvas::Rect& rect, canvas::Point by);
// A picture of its own of what an area inside the image shows.
Result<canvas::Image> part_of(const canvas::Image& image, const canvas::Rect& area);

}  // namespace segue::spice::server
