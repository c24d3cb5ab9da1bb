// SPDX-License-Identifier: LGPL-2.1-or-later
// What a row of pending drawings comes to: each pixel of the surface is written once, from where it
// comes in the end.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "spice/server/display/guest/pending_drawings.h"

namespace segue::spice::server {

class DrawingPlan {
  public:
    // Beyond these it is cheaper to draw one after the other.
    static constexpr std::size_t kMostPieces = 16;
    static constexpr std::size_t kMostRects = 256;

    // `drawings`, oldest first, outlive the plan. Nothing: there is none that is cheap, or moves
    // read what others write, in a circle.
    static std::optional<DrawingPlan> make(std::span<const PendingDrawing> drawings);
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
    bool sort_moves();

    std::vector<Piece> pieces_;
    std::vector<Part> parts_;
};

// Draws this region of a drawing; `shift` in place of its own.
void draw_part(canvas::Image& surface, const PendingDrawing& drawing, const canvas::Region& region,
               canvas::Point shift);

canvas::Rect shifted(const canvas::Rect& rect, canvas::Point by);

}  // namespace segue::spice::server
