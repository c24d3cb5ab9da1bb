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
constexpr double kBandSamples = 256;
// A channel that differs by more than this, of 255, is an edge.
constexpr int kEdge = 40;

// The pixel as 0x00RRGGBB.
template <class Pixel>
std::uint32_t colour_at(const std::uint8_t* row, std::uint32_t x) {
    Pixel pixel;
    std::memcpy(&pixel, row + std::size_t{x} * sizeof pixel, sizeof pixel);
    if constexpr (sizeof(Pixel) == 4) return pixel & 0xffffff;
    return (pixel >> 10 & 31u) << 19 | (pixel >> 5 & 31u) << 11 | (pixel & 31u) << 3;
}

// Of the channel that differs the most.
int difference(std::uint32_t one, std::uint32_t other) {
    const auto of = [&](unsigned shift) {
        return std::abs(static_cast<int>(one >> shift & 0xff) -
                        static_cast<int>(other >> shift & 0xff));
    };
    return std::max({of(0), of(8), of(16)});
}

bool is_gradual(std::uint32_t here, std::uint32_t right, std::uint32_t below) {
    // Most of a drawn picture.
    if (here == right && here == below) return false;
    return difference(here, right) <= kEdge && difference(here, below) <= kEdge;
}

template <class Pixel>
double share_of(const codec::PictureView& picture, double samples_wanted) {
    const double pixels = static_cast<double>(picture.width) * picture.height;
    const auto step = static_cast<std::uint32_t>(std::sqrt(std::max(1.0, pixels / samples_wanted)));
    std::uint32_t samples = 0;
    std::uint32_t gradual = 0;
    for (std::uint32_t y = 0; y + 1 < picture.height; y += step) {
        const std::uint8_t* const row = picture.row(y);
        const std::uint8_t* const next = picture.row(y + 1);
        // Rows begin at different columns, so that a pattern of the picture's own is not followed.
        for (std::uint32_t x = y * 7 % step; x + 1 < picture.width; x += step) {
            ++samples;
            gradual += is_gradual(colour_at<Pixel>(row, x), colour_at<Pixel>(row, x + 1),
                                  colour_at<Pixel>(next, x));
        }
    }
    return samples == 0 ? 0 : static_cast<double>(gradual) / samples;
}

bool has_colours(codec::PixelFormat format) {
    return format == codec::PixelFormat::rgb16 || format == codec::PixelFormat::bgrx32 ||
           format == codec::PixelFormat::bgra32;
}

}  // namespace

double gradual_share(const codec::PictureView& picture, double samples_wanted) {
    if (!has_colours(picture.format) || picture.width < 2 || picture.height < 2) return 0;
    return picture.format == codec::PixelFormat::rgb16
               ? share_of<std::uint16_t>(picture, samples_wanted)
               : share_of<std::uint32_t>(picture, samples_wanted);
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
