// SPDX-License-Identifier: LGPL-2.1-or-later
// Thin lines: paths become polylines of whole pixels, and each line the pixels of Bresenham's
// algorithm with X11's bias, so that a line back covers the same pixels as the line there.
#include <algorithm>
#include <cstdlib>

#include "spice/canvas/draw.h"

namespace segue::spice::canvas {
namespace {

enum PathFlags : std::uint8_t { kBegin = 1, kEnd = 2, kClose = 8, kBezier = 16 };

std::int32_t rounded(std::int32_t fixed) {
    return (fixed >> 4) + ((fixed & 15) > 8 ? 1 : 0);
}
Point rounded(Point fixed) {
    return {rounded(fixed.x), rounded(fixed.y)};
}

struct WidePoint {
    std::int64_t x;
    std::int64_t y;
};

WidePoint middle(WidePoint a, WidePoint b) {
    return {(a.x + b.x) / 2, (a.y + b.y) / 2};
}

// Squared deviations in the units of 28.4: the curve is flat when both control points lie closer
// than half a pixel to the chord.
bool is_flat(WidePoint from, WidePoint control1, WidePoint control2, WidePoint to) {
    using Wide = __int128;  // hostile points are 33 bits apart, and their squares are multiplied
    const auto dot = [](WidePoint a, WidePoint b) {
        return (Wide{a.x} * b.x + Wide{a.y} * b.y) >> 4;
    };
    const auto minus = [](WidePoint a, WidePoint b) { return WidePoint{a.x - b.x, a.y - b.y}; };
    const WidePoint chord = minus(to, from), back = minus(from, to);
    const WidePoint first = minus(control1, from), second = minus(control2, to);
    const Wide chord2 = dot(chord, chord);
    const Wide along1 = dot(first, chord);
    const Wide along2 = dot(second, back);
    const Wide height1 = (dot(first, first) * chord2 - along1 * along1) >> 3;
    const Wide height2 = (dot(second, second) * chord2 - along2 * along2) >> 3;
    return height1 < chord2 && height2 < chord2;
}

// The line of whole pixels that a subpath has become.
class Polyline {
  public:
    bool append(Point point) {
        if (points_.size() >= kMaxStrokePoints) return false;
        points_.push_back(point);
        return true;
    }
    bool append_bezier(Point control1, Point control2, Point to) {
        if (points_.empty()) return true;
        const Point last = points_.back();
        return divide({std::int64_t{last.x} * 16, std::int64_t{last.y} * 16},
                      {control1.x, control1.y}, {control2.x, control2.y}, {to.x, to.y}, 0);
    }
    const std::vector<Point>& points() const { return points_; }
    void clear() { points_.clear(); }

  private:
    bool divide(WidePoint p0, WidePoint p1, WidePoint p2, WidePoint p3, int depth) {
        constexpr int kMaxDepth = 24;
        if (depth == kMaxDepth || is_flat(p0, p1, p2, p3)) {
            return append(
                rounded(Point{static_cast<std::int32_t>(p3.x), static_cast<std::int32_t>(p3.y)}));
        }
        const WidePoint p01 = middle(p0, p1), p12 = middle(p1, p2), p23 = middle(p2, p3);
        const WidePoint p012 = middle(p01, p12), p123 = middle(p12, p23);
        const WidePoint p0123 = middle(p012, p123);
        return divide(p0, p01, p012, p0123, depth + 1) && divide(p0123, p123, p23, p3, depth + 1);
    }

    std::vector<Point> points_;
};

// Which pixels of a dashed line are on, by distance along the path. It is asked for each pixel, and
// a guest may name hundreds of dashes: the one is searched for, not counted up to.
class Dashes {
  public:
    Dashes(const std::vector<std::int32_t>& lengths, bool start_with_gap)
        : first_is_gap_(start_with_gap) {
        // An odd number of lengths alternates from one round to the next.
        const int rounds = lengths.size() % 2 == 0 ? 1 : 2;
        std::int64_t end = 0;
        for (int round = 0; round < rounds; ++round) {
            for (const std::int32_t length : lengths)
                ends_.push_back(end += std::max<std::int64_t>(rounded(length), 1));
        }
    }
    bool on(std::int64_t distance) const {
        if (ends_.empty()) return true;
        const auto at = std::upper_bound(ends_.begin(), ends_.end(), distance % ends_.back());
        const bool is_gap = ((at - ends_.begin()) % 2 == 1) != first_is_gap_;
        return !is_gap;
    }

  private:
    std::vector<std::int64_t> ends_;
    bool first_is_gap_;
};

// One straight line from `from` up to, and without, `to`.
class Line {
  public:
    Line(Point from, Point to) {
        const std::int64_t dx = std::int64_t{to.x} - from.x, dy = std::int64_t{to.y} - from.y;
        x_major_ = std::abs(dx) > std::abs(dy);
        major_length_ = x_major_ ? std::abs(dx) : std::abs(dy);
        minor_length_ = x_major_ ? std::abs(dy) : std::abs(dx);
        major_step_ = (x_major_ ? dx : dy) < 0 ? -1 : 1;
        minor_step_ = (x_major_ ? dy : dx) < 0 ? -1 : 1;
        major_start_ = x_major_ ? from.x : from.y;
        minor_start_ = x_major_ ? from.y : from.x;
        // The X server's default bias: a flat line to the left and a steep line upwards take the
        // axial step when the error is exactly zero.
        const bool left = dx < 0, up = dy < 0;
        bias_ = (x_major_ ? left : up) ? 1 : 0;
    }

    bool x_major() const { return x_major_; }
    std::int64_t length() const { return major_length_; }
    // Steps whose major coordinate lies in [low, high).
    std::pair<std::int64_t, std::int64_t> steps_within(std::int64_t low, std::int64_t high) const {
        const std::int64_t first = major_step_ > 0 ? low - major_start_ : major_start_ - high + 1;
        const std::int64_t end = major_step_ > 0 ? high - major_start_ : major_start_ - low + 1;
        return {std::max<std::int64_t>(first, 0), std::min(end, major_length_)};
    }
    Point at(std::int64_t step) const {
        const std::int64_t minor_steps =
            (2 * minor_length_ * step + major_length_ - bias_) / (2 * major_length_);
        const auto major = static_cast<std::int32_t>(major_start_ + major_step_ * step);
        const auto minor = static_cast<std::int32_t>(minor_start_ + minor_step_ * minor_steps);
        return x_major_ ? Point{major, minor} : Point{minor, major};
    }

  private:
    bool x_major_;
    std::int64_t major_length_, minor_length_;
    std::int64_t major_step_, minor_step_;
    std::int64_t major_start_, minor_start_;
    std::int64_t bias_;
};

class Painter {
  public:
    Painter(Image& target, const Region& region, const Stroke& stroke)
        : target_(target),
          region_(region),
          stroke_(stroke),
          dashes_(stroke.dashes, stroke.start_with_gap) {}

    // False: it would take longer than a stroke may.
    bool polyline(const std::vector<Point>& points) {
        std::int64_t distance = 0;
        for (std::size_t index = 1; index < points.size(); ++index) {
            const Line line(points[index - 1], points[index]);
            if (!this->line(line, distance)) return false;
            distance += line.length();
        }
        return true;
    }

  private:
    bool line(const Line& line, std::int64_t distance) {
        const Rect extents = region_.extents();
        const auto [first, end] = line.x_major() ? line.steps_within(extents.left, extents.right)
                                                 : line.steps_within(extents.top, extents.bottom);
        // A point costs, too, where nothing of its line is seen.
        steps_left_ -= std::max<std::int64_t>(end - first, 0) + 1;
        if (steps_left_ < 0) return false;
        // Pixels of one row that follow each other are filled together.
        Rect run;
        for (std::int64_t step = first; step < end; ++step) {
            if (!dashes_.on(distance + step)) continue;
            const Point at = line.at(step);
            const Rect pixel{at.x, at.y, at.x + 1, at.y + 1};
            if (at.y == run.top && (at.x == run.right || at.x + 1 == run.left) && !run.empty()) {
                run = bounding(run, pixel);
                continue;
            }
            paint(run);
            run = pixel;
        }
        paint(run);
        return true;
    }

    // A run is of one row, and the rectangles of a region come in bands of rows, in each from left
    // to right: those that it hits are found without a look at the others.
    void paint(const Rect& run) {
        if (run.empty()) return;
        const std::span<const Rect> rects = region_.rects();
        auto at = std::partition_point(rects.begin(), rects.end(), [&](const Rect& rect) {
            return rect.bottom <= run.top || (rect.top <= run.top && rect.right <= run.left);
        });
        for (; at != rects.end() && at->top <= run.top && at->left < run.right; ++at)
            fill(target_, Region(intersection(*at, run)), stroke_.brush, stroke_.rop);
    }

    Image& target_;
    const Region& region_;
    const Stroke& stroke_;
    Dashes dashes_;
    std::int64_t steps_left_ = kMostStrokeSteps;
};

bool append_segment(Polyline& line, const PathSegment& segment, std::size_t first) {
    const auto& points = segment.points;
    if (segment.flags & kBezier) {
        for (std::size_t at = first; at + 2 < points.size(); at += 3) {
            if (!line.append_bezier(points[at], points[at + 1], points[at + 2])) return false;
        }
        return true;
    }
    for (std::size_t at = first; at < points.size(); ++at) {
        if (!line.append(rounded(points[at]))) return false;
    }
    return true;
}

}  // namespace

Result<> stroke(Image& target, const Region& region, const Stroke& stroke) {
    if (region.empty() || stroke.rop == Rop::noop) return {};
    Painter painter(target, region, stroke);
    Polyline line;
    const auto finish = [&] {
        const bool done = painter.polyline(line.points());
        line.clear();
        return done;
    };
    const auto too_long = [] {
        return fail(ErrorCode::limit_exceeded, "a path of more than {} pixels", kMostStrokeSteps);
    };
    for (const PathSegment& segment : stroke.path) {
        std::size_t first = 0;
        bool fits = true;
        if (segment.flags & kBegin) {
            if (!finish()) return too_long();
            if (!segment.points.empty()) fits = line.append(rounded(segment.points[0]));
            first = 1;
        }
        fits = fits && append_segment(line, segment, first);
        if (fits && (segment.flags & kEnd) && (segment.flags & kClose) && !line.points().empty())
            fits = line.append(line.points().front());
        if (!fits) {
            return fail(ErrorCode::limit_exceeded, "a path of more than {} points",
                        kMaxStrokePoints);
        }
        if ((segment.flags & kEnd) && !finish()) return too_long();
    }
    if (!finish()) return too_long();
    return {};
}

}  // namespace segue::spice::canvas
