// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/encode/photo.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <optional>

namespace segue::spice::server {
namespace {

// Pictures are cut at rows of this distance, where they are several times as high.
constexpr std::uint32_t kBand = 32;
constexpr std::uint32_t kLeastHeight = 4 * kBand;
constexpr std::uint32_t kLeastWidth = 128;
constexpr double kBandSamples = 512;
// A channel that differs by more than this, of 255, is an edge.
constexpr int kEdge = 40;

struct Colour {
    int red, green, blue;
};

Colour colour_at(const codec::PictureView& picture, std::uint32_t x, std::uint32_t y) {
    const std::uint8_t* row = picture.row(y);
    if (picture.format == codec::PixelFormat::rgb16) {
        std::uint16_t pixel = 0;
        std::memcpy(&pixel, row + std::size_t{x} * 2, sizeof pixel);
        return {(pixel >> 10 & 31) << 3, (pixel >> 5 & 31) << 3, (pixel & 31) << 3};
    }
    row += std::size_t{x} * 4;
    return {row[2], row[1], row[0]};
}

int difference(const Colour& one, const Colour& other) {
    return std::max({std::abs(one.red - other.red), std::abs(one.green - other.green),
                     std::abs(one.blue - other.blue)});
}

bool has_colours(codec::PixelFormat format) {
    return format == codec::PixelFormat::rgb16 || format == codec::PixelFormat::bgrx32 ||
           format == codec::PixelFormat::bgra32;
}

}  // namespace

double gradual_share(const codec::PictureView& picture, double samples_wanted) {
    if (!has_colours(picture.format) || picture.width < 2 || picture.height < 2) return 0;
    const double pixels = static_cast<double>(picture.width) * picture.height;
    const auto step = static_cast<std::uint32_t>(std::sqrt(std::max(1.0, pixels / samples_wanted)));
    std::uint32_t samples = 0;
    std::uint32_t gradual = 0;
    for (std::uint32_t y = 0; y + 1 < picture.height; y += step) {
        // Rows begin at different columns, so that a pattern of the picture's own is not followed.
        for (std::uint32_t x = y * 7 % step; x + 1 < picture.width; x += step) {
            const Colour here = colour_at(picture, x, y);
            const int right = difference(here, colour_at(picture, x + 1, y));
            const int below = difference(here, colour_at(picture, x, y + 1));
            ++samples;
            if (std::max(right, below) <= kEdge && right + below > 0) ++gradual;
        }
    }
    return samples == 0 ? 0 : static_cast<double>(gradual) / samples;
}

std::vector<std::uint32_t> ends_of_parts(const codec::PictureView& picture) {
    std::vector<std::uint32_t> ends;
    if (picture.height >= kLeastHeight && picture.width >= kLeastWidth) {
        std::optional<bool> before;
        for (std::uint32_t top = 0; top + kBand <= picture.height; top += kBand) {
            codec::PictureView band = picture;
            band.rows = picture.row(top);
            band.height = kBand;
            const bool is_photo = gradual_share(band, kBandSamples) >= kQuicShare;
            if (before && *before != is_photo) ends.push_back(top);
            before = is_photo;
        }
    }
    ends.push_back(picture.height);
    return ends;
}

}  // namespace segue::spice::server
