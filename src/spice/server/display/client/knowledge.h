// SPDX-License-Identifier: LGPL-2.1-or-later
// Everything that a client has of a display, as one value: what may be left out when something is
// drawn, what must still be sent, and what a hand-over to another server carries. display_blob.h
// writes and reads it; a channel that is given one goes on as if it had talked to the client
// itself.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "spice/canvas/geometry.h"
#include "spice/server/display/client/cached_images.h"
#include "spice/server/display/guest/guest_display.h"
#include "spice/server/display/video/stream_rate.h"
#include "spice/server/options.h"

namespace segue::spice::server {

struct SurfaceKnowledge {
    // What the client made it as. 0x0 when another server made it and did not say.
    std::int32_t width = 0;
    std::int32_t height = 0;
    std::uint32_t format = 0;
    // Where the client's pixels are not those of the surface. Whatever is drawn there meanwhile,
    // only the newest is ever sent.
    canvas::Region stale;
    // Where they only resemble them (JPEG, video): made exact when the picture there has come to
    // rest. May overlap `stale`.
    canvas::Region lossy;
    // The client was told that it may show the surface.
    bool marked = false;

    bool fits(const Surface& surface) const {
        return width == surface.image.width() && height == surface.image.height() &&
               format == surface.format;
    }
    // The client has exactly these pixels from now on.
    void sent(const canvas::Region& region, bool is_lossy) {
        stale.subtract(region);
        if (is_lossy) {
            lossy.unite(region);
        } else {
            lossy.subtract(region);
        }
    }
    friend bool operator==(const SurfaceKnowledge&, const SurfaceKnowledge&) = default;
};

// A video of the client's: an area of a surface that goes as frames. Where the frames were taken
// from is lossy in the surface.
struct StreamKnowledge {
    std::uint32_t surface = 0;
    canvas::Rect area;
    // How good and how often its frames are: as noted when the state is written.
    StreamRate::Pace pace{};
    friend bool operator==(const StreamKnowledge&, const StreamKnowledge&) = default;
};

struct Knowledge {
    std::map<std::uint32_t, SurfaceKnowledge> surfaces;
    std::optional<MonitorsConfig> monitors;  // as the client was told
    std::map<std::uint32_t, StreamKnowledge> streams;

    // The caches that the client announced (DISPLAY_INIT), and what is in them. The pixels of the
    // GLZ window are not part of this: behind a hand-over it is empty, and its ids go on.
    std::uint8_t pixmap_cache_id = 0;
    std::int64_t pixmap_cache_size = 0;  // pixels
    CachedImages images;
    std::uint8_t glz_dictionary_id = 0;
    std::uint32_t glz_window = 0;  // pixels
    std::uint64_t glz_last_image_id = 0;

    // Its line is slow.
    bool low_bandwidth = false;
    // PREFERRED_COMPRESSION; `invalid`: it never said.
    ImageCompression preferred_compression = ImageCompression::invalid;

    friend bool operator==(const Knowledge&, const Knowledge&) = default;
};

}  // namespace segue::spice::server
