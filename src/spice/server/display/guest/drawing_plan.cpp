// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/guest/drawing_plan.h"

#include <algorithm>

#include "spice/canvas/draw.h"

namespace segue::spice::server {
namespace {

using Kind = PendingDrawing::Kind;

canvas::Point sum(canvas::Point one, canvas::Point other) {
    return {one.x + other.x, one.y + other.y};
}

canvas::Region shifted(canvas::Region region, canvas::Point by) {
    region.translate(by.x, by.y);
    return region;
}

canvas::Region common(canvas::Region one, const canvas::Region& other) {
    one.intersect(other);
    return one;
}

}  // namespace

canvas::Rect shifted(const canvas::Rect& rect, canvas::Point by) {
    return {rect.left + by.x, rect.top + by.y, rect.right + by.x, rect.bottom + by.y};
}

void draw_part(canvas::Image& surface, const PendingDrawing& drawing, const canvas::Region& region,
               canvas::Point shift) {
    const canvas::Rect box = region.extents();
    const canvas::Rect from = shifted(box, shift);
    switch (drawing.kind) {
        case Kind::fill: {
            canvas::Brush brush;
            brush.kind = canvas::Brush::Kind::solid;
            brush.color = drawing.color;
            canvas::fill(surface, region, brush, canvas::Rop::copy);
            return;
        }
        case Kind::picture: {
            // Of the same format and size: there is nothing in it that could fail.
            const canvas::Source source{&drawing.picture, from, canvas::ScaleMode::nearest};
            std::ignore = canvas::copy(surface, region, box, source, canvas::Rop::copy);
            return;
        }
        case Kind::move: canvas::copy_bits(surface, region, box, {from.left, from.top}); return;
    }
}

std::optional<DrawingPlan> DrawingPlan::make(std::span<const PendingDrawing> drawings) {
    DrawingPlan plan;
    canvas::Region all;
    for (const PendingDrawing& drawing : drawings)
        all.unite(drawing.region);
    plan.pieces_.push_back({std::move(all), {}});
    for (auto at = drawings.rbegin(); at != drawings.rend(); ++at) {
        plan.go_back_before(*at);
        if (!plan.is_cheap()) return std::nullopt;
    }
    const auto stays = [](const Piece& piece) { return piece.shift == canvas::Point{}; };
    plan.pieces_.erase(std::remove_if(plan.pieces_.begin(), plan.pieces_.end(), stays),
                       plan.pieces_.end());
    if (!plan.sort_moves()) return std::nullopt;
    return plan;
}

// Takes from the pieces what the drawing has painted, or follows it to where it came from.
void DrawingPlan::go_back_before(const PendingDrawing& drawing) {
    std::vector<Piece> moved;
    for (Piece& piece : pieces_) {
        canvas::Region hit =
            common(shifted(drawing.region, {-piece.shift.x, -piece.shift.y}), piece.region);
        if (hit.empty()) continue;
        piece.region.subtract(hit);
        const canvas::Point shift = sum(piece.shift, drawing.shift);
        if (drawing.kind == Kind::move) {
            moved.push_back({std::move(hit), shift});
        } else {
            parts_.push_back({&drawing, std::move(hit), shift});
        }
    }
    const auto is_empty = [](const Piece& piece) { return piece.region.empty(); };
    pieces_.erase(std::remove_if(pieces_.begin(), pieces_.end(), is_empty), pieces_.end());
    for (Piece& piece : moved)
        add_piece(std::move(piece.region), piece.shift);
}

void DrawingPlan::add_piece(canvas::Region region, canvas::Point shift) {
    const auto same = std::find_if(pieces_.begin(), pieces_.end(),
                                   [&](const Piece& piece) { return piece.shift == shift; });
    if (same == pieces_.end()) {
        pieces_.push_back({std::move(region), shift});
    } else {
        same->region.unite(region);
    }
}

bool DrawingPlan::is_cheap() const {
    return pieces_.size() <= kMostPieces &&
           std::all_of(pieces_.begin(), pieces_.end(), [](const Piece& piece) {
               return piece.region.rects().size() <= kMostRects;
           });
}

// So that none writes what a later one reads.
bool DrawingPlan::sort_moves() {
    for (auto next = pieces_.begin(); next != pieces_.end(); ++next) {
        const auto is_free = [&](const Piece& candidate) {
            return std::all_of(next, pieces_.end(), [&](const Piece& other) {
                return &other == &candidate ||
                       common(shifted(other.region, other.shift), candidate.region).empty();
            });
        };
        const auto first = std::find_if(next, pieces_.end(), is_free);
        if (first == pieces_.end()) return false;
        std::iter_swap(next, first);
    }
    return true;
}

void DrawingPlan::draw(canvas::Image& surface) const {
    for (const Piece& piece : pieces_) {
        const canvas::Rect box = piece.region.extents();
        const canvas::Rect from = shifted(box, piece.shift);
        canvas::copy_bits(surface, piece.region, box, {from.left, from.top});
    }
    for (const Part& part : parts_)
        draw_part(surface, *part.drawing, part.region, part.shift);
}

}  // namespace segue::spice::server
