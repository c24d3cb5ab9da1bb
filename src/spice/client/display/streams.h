// SPDX-License-Identifier: LGPL-2.1-or-later
// Video streams of one display channel.
#pragma once

#include <map>

#include "spice/canvas/geometry.h"
#include "spice/wire/display.schema.h"

namespace segue::spice::client {

struct Stream {
    std::uint32_t surface_id = 0;
    wire::display::VideoCodec codec{};
    bool top_down = true;
    std::uint32_t width = 0;
    std::uint32_t height = 0;
    canvas::Rect destination;
    bool clipped = false;
    std::vector<canvas::Rect> clip;
};

class StreamTable {
  public:
    // Errors: protocol for an id in use or unknown. The ids are bounded by the wire's limit.
    Result<> create(std::uint32_t id, Stream stream);
    Result<Stream*> find(std::uint32_t id);
    Result<> destroy(std::uint32_t id);
    void clear() { streams_.clear(); }
    bool empty() const { return streams_.empty(); }

  private:
    std::map<std::uint32_t, Stream> streams_;
};

}  // namespace segue::spice::client
