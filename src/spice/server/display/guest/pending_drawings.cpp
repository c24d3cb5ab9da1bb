// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/guest/pending_drawings.h"

#include <algorithm>
#include <new>

#include "spice/canvas/draw.h"
#include "spice/server/display/guest/drawing_plan.h"

namespace segue::spice::server {
namespace {

using Kind = PendingDrawing::Kind;

std::size_t bytes_of(const PendingDrawing& drawing) {
    constexpr std::size_t kItself =
        sizeof(PendingDrawing) + PendingDrawings::kMostRects * sizeof(canvas::Rect);
    if (drawing.picture.empty()) return kItself;
    const auto height = static_cast<std::size_t>(drawing.picture.height());
    return kItself + drawing.picture.line_bytes() * height;
}

// Newest first; none where memory is short.
std::vector<DrawingPlan> make_plans(std::span<const PendingDrawing> drawings) {
    std::vector<DrawingPlan> plans;
    try {
        for (std::span<const PendingDrawing> rest = drawings; !rest.empty();
             rest = rest.first(rest.size() - plans.back().size()))
            plans.push_back(DrawingPlan::make(rest));
    } catch (const std::bad_alloc&) {
        plans.clear();
    }
    return plans;
}

bool hides(const PendingDrawing& cover, const PendingDrawing& below) {
    return cover.extents.contains(below.extents) && cover.region.covers(below.extents);
}

}  // namespace

PendingDrawings::~PendingDrawings() {
    if (total_) forget(bytes_);
}

void PendingDrawings::forget(std::size_t bytes) {
    bytes_ -= bytes;
    total_->subtract(bytes);
}

void PendingDrawings::add(PendingDrawing drawing) {
    const std::size_t bytes = bytes_of(drawing);
    drawing.extents = drawing.region.extents();
    // What can fail comes first: the drawing is here, or it is not.
    if (drawings_.size() == drawings_.capacity())
        drawings_.reserve(std::max<std::size_t>(16, drawings_.size() * 2));
    // A move looks at what is below.
    if (drawing.kind == Kind::move) {
        ++moves_;
    } else {
        give_back_hidden(drawing);
    }
    bytes_ += bytes;
    total_->add(bytes);
    drawings_.push_back(std::move(drawing));
}

// From the newest on: what stands before a move that is kept may be moved to where it is seen.
void PendingDrawings::give_back_hidden(const PendingDrawing& cover) {
    for (auto at = drawings_.end(); at != drawings_.begin();) {
        --at;
        if (!hides(cover, *at)) {
            if (at->kind == Kind::move) return;
            continue;
        }
        give_back_(at->release);
        forget(bytes_of(*at));
        if (at->kind == Kind::move) --moves_;
        at = drawings_.erase(at);
    }
}

void PendingDrawings::draw(canvas::Image& surface) {
    if (drawings_.empty()) return;
    // What is hidden is gone already: only several moves are worth a plan.
    std::vector<DrawingPlan> plans =
        moves_ < 2 ? std::vector<DrawingPlan>() : make_plans(drawings_);
    for (auto plan = plans.rbegin(); plan != plans.rend(); ++plan)
        plan->draw(surface);
    if (plans.empty()) draw_one_by_one(surface, drawings_);
    for (const PendingDrawing& drawing : drawings_)
        give_back_(drawing.release);
    drawings_.clear();
    forget(bytes_);
    moves_ = 0;
}

std::optional<PendingDrawings::Place> PendingDrawings::find(const canvas::Image& surface,
                                                            const canvas::Rect& rect) const {
    canvas::Rect wanted = rect;
    for (auto at = drawings_.rbegin(); at != drawings_.rend(); ++at) {
        if (canvas::intersection(at->extents, wanted).empty() || !at->region.intersects(wanted))
            continue;
        if (at->kind == Kind::fill || !at->region.covers(wanted)) return std::nullopt;
        wanted = shifted(wanted, at->shift);
        if (at->kind == Kind::picture) return Place{&at->picture, wanted};
    }
    return Place{&surface, wanted};
}

}  // namespace segue::spice::server
