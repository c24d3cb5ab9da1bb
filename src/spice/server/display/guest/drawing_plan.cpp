// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/guest/drawing_plan.h"

#include <algorithm>
#include <new>
#include <utility>

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

// Takes from `region` what it has in common with `other`, shifted by `back`.
canvas::Region take_common(canvas::Region& region, const canvas::Region& other,
                           canvas::Point back) {
    // A window that scrolls takes all that has come to it along.
    const canvas::Rect box = region.extents();
    if (other.covers(server::shifted(box, {-back.x, -back.y}))) return std::exchange(region, {});
    canvas::Region hit = common(shifted(other, back), region);
    region.subtract(hit);
    return hit;
}

std::int64_t area_of(const canvas::Region& region) {
    return region.extents().width() * region.extents().height();
}

}  // namespace

Result<canvas::Image> part_of(const canvas::Image& image, const canvas::Rect& area) {
    canvas::Image made =
        TRY(canvas::Image::create_unfilled(image.format(), area.width(), area.height(), {}));
    const canvas::Region all(made.bounds());
    TRY(canvas::copy(made, all, made.bounds(), {&image, area}, canvas::Rop::copy));
    return made;
}

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

void draw_one_by_one(canvas::Image& surface, std::span<const PendingDrawing> drawings) {
    for (const PendingDrawing& drawing : drawings)
        draw_part(surface, drawing, drawing.region, drawing.shift);
}

DrawingPlan DrawingPlan::make(std::span<const PendingDrawing> drawings) {
    DrawingPlan plan;
    constexpr canvas::Rect kEverything{0, 0, canvas::kMaxSide, canvas::kMaxSide};
    plan.pieces_.push_back({canvas::Region(kEverything), {}});
    std::size_t older = drawings.size();
    do
        plan.go_back_before(drawings[--older]);
    while (older > 0 && plan.is_cheap());
    plan.drawings_ = drawings.subspan(older);
    const auto stays = [](const Piece& piece) { return piece.shift == canvas::Point{}; };
    plan.pieces_.erase(std::remove_if(plan.pieces_.begin(), plan.pieces_.end(), stays),
                       plan.pieces_.end());
    plan.sort_moves();
    return plan;
}

// Takes from the pieces what the drawing has painted, or follows it to where it came from.
void DrawingPlan::go_back_before(const PendingDrawing& drawing) {
    std::vector<Piece> moved;
    const canvas::Rect extents = drawing.region.extents();
    const bool stays_below = drawing.kind != Kind::move && area_of(drawing.region) <= kSmallArea;
    for (Piece& piece : pieces_) {
        const canvas::Point back{-piece.shift.x, -piece.shift.y};
        // Most drawings are elsewhere.
        const canvas::Rect reach = shifted(extents, back);
        if (canvas::intersection(reach, piece.region.extents()).empty() ||
            !piece.region.intersects(reach))
            continue;
        canvas::Region hit = stays_below ? common(shifted(drawing.region, back), piece.region)
                                         : take_common(piece.region, drawing.region, back);
        if (hit.empty()) continue;
        const canvas::Point shift = sum(piece.shift, drawing.shift);
        if (drawing.kind == Kind::move) {
            moved.push_back({std::move(hit), shift});
        } else {
            part_rects_ += hit.rects().size();
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
    return pieces_.size() <= kMostPieces && part_rects_ <= kMostPartRects &&
           std::all_of(pieces_.begin(), pieces_.end(), [](const Piece& piece) {
               return piece.region.rects().size() <= kMostRects;
           });
}

// So that none writes what a later one reads.
void DrawingPlan::sort_moves() {
    for (auto next = pieces_.begin(); next != pieces_.end();) {
        const auto is_free = [&](const Piece& candidate) {
            return std::all_of(next, pieces_.end(), [&](const Piece& other) {
                return &other == &candidate ||
                       common(shifted(other.region, other.shift), candidate.region).empty();
            });
        };
        const auto first = std::find_if(next, pieces_.end(), is_free);
        if (first != pieces_.end()) {
            std::iter_swap(next++, first);
            continue;
        }
        const auto smallest =
            std::min_element(next, pieces_.end(), [](const Piece& one, const Piece& other) {
                return area_of(one.region) < area_of(other.region);
            });
        const std::ptrdiff_t sorted = next - pieces_.begin();
        aside_.push_back(std::move(*smallest));
        pieces_.erase(smallest);
        next = pieces_.begin() + sorted;
    }
}

// Nothing: memory is short.
std::optional<std::vector<canvas::Image>> DrawingPlan::take_aside(
    const canvas::Image& surface) const {
    std::vector<canvas::Image> copies;
    try {
        for (const Piece& piece : aside_) {
            auto copied = part_of(surface, shifted(piece.region.extents(), piece.shift));
            if (!copied) return std::nullopt;
            copies.push_back(std::move(*copied));
        }
    } catch (const std::bad_alloc&) {
        return std::nullopt;
    }
    return copies;
}

void DrawingPlan::draw(canvas::Image& surface) const {
    const auto taken = take_aside(surface);
    if (!taken) return draw_one_by_one(surface, drawings_);
    const std::vector<canvas::Image>& copies = *taken;
    for (const Piece& piece : pieces_) {
        const canvas::Rect box = piece.region.extents();
        const canvas::Rect from = shifted(box, piece.shift);
        canvas::copy_bits(surface, piece.region, box, {from.left, from.top});
    }
    for (std::size_t at = 0; at < aside_.size(); ++at) {
        const canvas::Source source{&copies[at], copies[at].bounds(), canvas::ScaleMode::nearest};
        const canvas::Region& region = aside_[at].region;
        std::ignore = canvas::copy(surface, region, region.extents(), source, canvas::Rop::copy);
    }
    for (auto part = parts_.rbegin(); part != parts_.rend(); ++part)
        draw_part(surface, *part->drawing, part->region, part->shift);
}

}  // namespace segue::spice::server
