// SPDX-License-Identifier: LGPL-2.1-or-later
// Tells photos from drawn pictures: photos change a little from pixel to pixel, drawn pictures not
// at all or sharply. QUIC and JPEG are for the first, the LZ family for the second.
#pragma once

#include <vector>

#include "spice/codec/picture.h"

namespace segue::spice::server {

namespace codec = segue::spice::codec;

// The share of sampled pixels whose neighbours differ a little and never sharply, 0 to 1. Formats
// other than rgb16, bgrx32 and bgra32 have none. Reads as many pixels as `samples`, about.
double gradual_share(const codec::PictureView& picture, double samples = 2048);

// Smaller pictures are not worth the samples.
inline constexpr std::uint32_t kLeastPhotoSide = 8;
// From here on it may lose what JPEG loses.
inline constexpr double kPhotoShare = 0.4;
// From here on QUIC is the smaller one: it gains more on the photo than it loses beside it.
inline constexpr double kQuicShare = 0.15;

inline double photo_share(const codec::PictureView& picture) {
    const bool is_large = picture.width >= kLeastPhotoSide && picture.height >= kLeastPhotoSide;
    return is_large ? gradual_share(picture) : 0;
}
inline bool is_photo(const codec::PictureView& picture) {
    return photo_share(picture) >= kPhotoShare;
}

// The rows at which the picture changes between drawn and photo, and its height: parts that are
// better encoded each in its own way. One part for what is not large.
std::vector<std::uint32_t> ends_of_parts(const codec::PictureView& picture);

}  // namespace segue::spice::server
