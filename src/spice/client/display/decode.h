// SPDX-License-Identifier: LGPL-2.1-or-later
// Compressed pictures as pixels. Every function is bounded by the codec's limits on sides and
// bytes.
#pragma once

#include <span>

#include "base/bytes.h"
#include "spice/canvas/image.h"

namespace segue::spice::client {

// LZ_RGB, and LZ_PLT with its palette (see canvas::Bitmap::palette).
// Errors: protocol or limit_exceeded, which say what is wrong with the data.
Result<canvas::Image> decode_lz(ByteView data, std::span<const std::uint32_t> palette,
                                canvas::Format palette_format);

}  // namespace segue::spice::client
