// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/encode/plain.h"

#include <cstring>

namespace segue::spice::server {
namespace {

template <class Pixel>
std::optional<std::uint32_t> color_of(const canvas::Image& picture, const canvas::Rect& rect) {
    const std::size_t offset = sizeof(Pixel) * static_cast<std::size_t>(rect.left);
    const std::size_t row = sizeof(Pixel) * static_cast<std::size_t>(rect.width());
    const std::uint8_t* const first = picture.line(rect.top) + offset;
    // A row whose pixels equal their neighbours is of one colour, and so are rows that equal it.
    if (std::memcmp(first, first + sizeof(Pixel), row - sizeof(Pixel)) != 0) return std::nullopt;
    for (std::int32_t y = rect.top + 1; y < rect.bottom; ++y) {
        if (std::memcmp(first, picture.line(y) + offset, row) != 0) return std::nullopt;
    }
    Pixel color;
    std::memcpy(&color, first, sizeof color);
    return color;
}

}  // namespace

std::optional<std::uint32_t> plain_color(const canvas::Image& picture, const canvas::Rect& rect) {
    if (rect.empty()) return std::nullopt;
    switch (picture.format()) {
        case canvas::Format::xrgb32: return color_of<std::uint32_t>(picture, rect);
        case canvas::Format::rgb555:
        case canvas::Format::rgb565: return color_of<std::uint16_t>(picture, rect);
        default: return std::nullopt;
    }
}

}  // namespace segue::spice::server
