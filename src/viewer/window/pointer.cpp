// SPDX-License-Identifier: LGPL-2.1-or-later
#include "viewer/window/pointer.h"

#include <algorithm>

namespace segue::viewer {

using spice::canvas::Image;

namespace {

constexpr std::uint32_t kBlack = 0xff000000, kWhite = 0xffffffff;

std::uint32_t& pixel(Image& image, std::int32_t x, std::int32_t y) {
    return reinterpret_cast<std::uint32_t*>(image.line(y))[x];
}

bool is_beside(const Image& inverts, std::int32_t x, std::int32_t y) {
    for (std::int32_t beside_y = y - 1; beside_y <= y + 1; ++beside_y) {
        if (beside_y < 0 || beside_y >= inverts.height()) continue;
        for (std::int32_t beside_x = x - 1; beside_x <= x + 1; ++beside_x) {
            if (beside_x < 0 || beside_x >= inverts.width()) continue;
            if (inverts.line(beside_y)[beside_x] != 0) return true;
        }
    }
    return false;
}

}  // namespace

Result<Image> pointer_picture(const spice::client::CursorShape& shape) {
    Image picture = TRY(shape.image->copy());
    if (!shape.inverts) return picture;
    for (std::int32_t y = 0; y < picture.height(); ++y) {
        for (std::int32_t x = 0; x < picture.width(); ++x) {
            std::uint32_t& here = pixel(picture, x, y);
            if (shape.inverts->line(y)[x] != 0) {
                here = kBlack;
            } else if (here == 0 && is_beside(*shape.inverts, x, y)) {
                here = kWhite;
            }
        }
    }
    return picture;
}

std::uint32_t unmultiplied(std::uint32_t argb) {
    const std::uint32_t alpha = argb >> 24;
    if (alpha == 0 || alpha == 0xff) return argb;
    std::uint32_t result = alpha << 24;
    for (const int shift : {0, 8, 16})
        result |= std::min<std::uint32_t>((argb >> shift & 0xff) * 0xff / alpha, 0xff) << shift;
    return result;
}

}  // namespace segue::viewer
