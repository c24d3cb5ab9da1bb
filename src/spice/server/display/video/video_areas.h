// SPDX-License-Identifier: LGPL-2.1-or-later
// Finds videos among what is drawn: the same place, drawn anew many times in a row.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/time.h"
#include "spice/canvas/geometry.h"

namespace segue::spice::server {

class VideoAreas {
  public:
    // As the field does it: at least 96 x 96 pixels, frames at most 200 ms apart, 20 of them.
    static constexpr std::int32_t kLeastSide = 96;
    static constexpr Duration kLongestGap = 200ms;
    static constexpr unsigned kFrames = 20;
    // Of the frames, how many must look like photos (a fifth) where only such are wanted.
    static constexpr unsigned kLeastPhotos = kFrames / 5;

    static bool is_large_enough(const canvas::Rect& rect) {
        return rect.width() >= kLeastSide && rect.height() >= kLeastSide;
    }

    // New pixels of this rectangle are about to be sent. An area that has now become a video is
    // returned, once. `is_photo` is asked only where it matters.
    template <class IsPhoto>
    std::optional<canvas::Rect> seen(std::uint32_t surface, const canvas::Rect& rect, Instant now,
                                     bool photos_only, IsPhoto&& is_photo) {
        if (!is_large_enough(rect)) return std::nullopt;
        Trace& trace = follow(surface, rect, now);
        ++trace.frames;
        if (!photos_only || is_photo(rect)) ++trace.photos;
        if (trace.frames < kFrames) return std::nullopt;
        const bool is_video = trace.photos >= kLeastPhotos;
        const canvas::Rect area = trace.area;
        trace.frames = 0;
        trace.photos = 0;
        if (!is_video) return std::nullopt;
        forget(surface, area);
        return area;
    }
    // The surface is another one now.
    void forget(std::uint32_t surface);

  private:
    struct Trace {
        std::uint32_t surface = 0;
        canvas::Rect first;  // as it was first seen
        canvas::Rect area;   // all that was drawn since
        Instant last{};
        unsigned frames = 0;
        unsigned photos = 0;
    };
    Trace& follow(std::uint32_t surface, const canvas::Rect& rect, Instant now);
    void forget(std::uint32_t surface, const canvas::Rect& area);

    std::vector<Trace> traces_;
};

}  // namespace segue::spice::server
