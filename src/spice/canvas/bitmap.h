// SPDX-License-Identifier: LGPL-2.1-or-later
// Raw bitmaps of the protocol (SpiceBitmap, QXLBitmap) as pictures.
#pragma once

#include <span>

#include "base/bytes.h"
#include "spice/canvas/image.h"

namespace segue::spice::canvas {

// SpiceBitmapFmt in libspice-protocol's spice/enums.h.
enum class BitmapFormat : std::uint8_t {
    bit1_le = 1,
    bit1_be = 2,
    bit4_le = 3,
    bit4_be = 4,
    bit8 = 5,
    rgb16 = 6,
    rgb24 = 7,
    rgb32 = 8,
    rgba = 9,
    alpha8 = 10,
};

struct Bitmap {
    BitmapFormat format = BitmapFormat::rgb32;
    std::uint32_t width = 0;
    std::uint32_t height = 0;
    std::uint32_t stride = 0;  // bytes from line to line in `pixels`
    bool top_down = true;
    std::span<const std::uint32_t> palette;  // for 1, 4 and 8 bits; indices beyond it are black
    ByteView pixels;
};

// 1, 4, 8, 24 and 32 bits become xrgb32, RGBA argb32, 16 bits rgb555, alpha a8. On a surface of 16
// bits the palette holds its pixel values: pass its format as `palette_format`.
// Errors: limit_exceeded for the size, invalid_argument for a stride or data that are too short.
Result<Image> image_of(const Bitmap& bitmap, Format palette_format = Format::xrgb32);

// A bitmap of 1 bit as a mask (format a1). Errors: as above, and invalid_argument for other
// formats.
Result<Image> mask_of(const Bitmap& bitmap);

}  // namespace segue::spice::canvas
