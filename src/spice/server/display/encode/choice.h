// SPDX-License-Identifier: LGPL-2.1-or-later
// Which form an image takes on its way to a client: a rule without state.
#pragma once

#include <string_view>

#include "spice/codec/picture.h"
#include "spice/server/options.h"

namespace segue::spice::server {

namespace codec = segue::spice::codec;

enum class ImageForm : std::uint8_t { raw, lz, glz, zlib_glz, quic, jpeg, jpeg_alpha, lz4 };

std::string_view name_of(ImageForm form);
inline constexpr ImageForm kImageForms[] = {ImageForm::raw,        ImageForm::lz,   ImageForm::glz,
                                            ImageForm::zlib_glz,   ImageForm::quic, ImageForm::jpeg,
                                            ImageForm::jpeg_alpha, ImageForm::lz4};
// As QEMU's option `image-compression` names it.
std::string_view name_of(ImageCompression compression);

// SPICE_STREAM_VIDEO_*
enum class StreamVideo : std::uint8_t { off = 1, all = 2, filter = 3 };

struct EncoderOptions {
    ImageCompression compression = ImageCompression::auto_glz;
    WanCompression jpeg = WanCompression::never;
    WanCompression zlib_glz = WanCompression::never;
    StreamVideo streaming = StreamVideo::filter;
    // The client said that it decodes LZ4.
    bool lz4_allowed = false;
    // The client's canvas knows palettes.
    bool palettes_allowed = false;
    // The line to the client is slow.
    bool low_bandwidth = false;

    bool allows(WanCompression option) const {
        return option == WanCompression::always ||
               (option == WanCompression::automatic && low_bandwidth);
    }
    bool may_lose() const { return allows(jpeg); }
};

struct ImageNeeds {
    bool lossless = false;
    // The client keeps a GLZ dictionary that the picture fits into.
    bool window = false;
};

ImageForm choose_form(const EncoderOptions& options, const ImageNeeds& needs,
                      const codec::PictureView& picture);

}  // namespace segue::spice::server
