// SPDX-License-Identifier: LGPL-2.1-or-later
// Tells photos from drawn pictures: photos change a little from pixel to pixel, drawn pictures not
// at all or sharply. QUIC and JPEG are for the first, the LZ family for the second.
#pragma once

#include "spice/codec/picture.h"

namespace segue::spice::server {

namespace codec = segue::spice::codec;

// The share of sampled pixels whose neighbours differ a little and never sharply, 0 to 1. Formats
// other than rgb16, bgrx32 and bgra32 have none. Reads a few thousand pixels at most.
double gradual_share(const codec::PictureView& picture);

// Smaller pictures are not worth the samples.
inline constexpr std::uint32_t kLeastPhotoSide = 8;
inline constexpr double kPhotoShare = 0.4;

inline bool is_photo(const codec::PictureView& picture) {
    return picture.width >= kLeastPhotoSide && picture.height >= kLeastPhotoSide &&
           gradual_share(picture) >= kPhotoShare;
}

}  // namespace segue::spice::server
