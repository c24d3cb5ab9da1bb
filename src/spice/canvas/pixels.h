// SPDX-License-Identifier: LGPL-2.1-or-later
// For the .cpp files of this room only: loops over the pixels of lines, by pixel size.
#pragma once

#include <cstdint>

#include "spice/canvas/image.h"

namespace segue::spice::canvas {

template <class Pixel>
Pixel* pixels_of(Image& image, std::int32_t y) {
    return reinterpret_cast<Pixel*>(image.line(y));
}
template <class Pixel>
const Pixel* pixels_of(const Image& image, std::int32_t y) {
    return reinterpret_cast<const Pixel*>(image.line(y));
}

// Calls the action with a zero of the pixel's type. a1 has no addressable pixels: nothing is
// called.
template <class Action>
void with_pixel_type(Format format, const Action& action) {
    switch (bits_per_pixel(format)) {
        case 8: return action(std::uint8_t{});
        case 16: return action(std::uint16_t{});
        case 32: return action(std::uint32_t{});
        default: return;
    }
}

inline bool same_pixel_size(const Image& a, const Image& b) {
    return bits_per_pixel(a.format()) == bits_per_pixel(b.format());
}

// The remainder in [0, size), for tiles that lie left of their origin.
inline std::int32_t tile_offset(std::int64_t distance, std::int32_t size) {
    const std::int64_t rest = distance % size;
    return static_cast<std::int32_t>(rest < 0 ? rest + size : rest);
}

}  // namespace segue::spice::canvas
