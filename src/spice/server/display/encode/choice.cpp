// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/encode/choice.h"

#include "spice/server/display/encode/photo.h"

namespace segue::spice::server {
namespace {

// Below this a header would cost more than any compression saves.
constexpr std::size_t kLeastBytesToCompress = 54;
// zlib gains nothing on less.
constexpr std::size_t kLeastBytesForZlib = 100;
// QUIC's model needs a few rows to learn from.
constexpr std::uint32_t kLeastQuicSide = 3;

ImageForm lz_family(const EncoderOptions& options, const ImageNeeds& needs, bool wants_window,
                    std::size_t bytes) {
    if (!wants_window || !needs.window) return ImageForm::lz;
    const bool deflated = options.allows(options.zlib_glz) && bytes >= kLeastBytesForZlib;
    return deflated ? ImageForm::zlib_glz : ImageForm::glz;
}

// Nothing of 16 bits: the client's JPEG comes out as 32.
bool can_be_jpeg(codec::PixelFormat format) {
    return format == codec::PixelFormat::bgrx32 || format == codec::PixelFormat::bgra32;
}

ImageForm jpeg_form(codec::PixelFormat format) {
    return format == codec::PixelFormat::bgra32 ? ImageForm::jpeg_alpha : ImageForm::jpeg;
}

}  // namespace

std::string_view name_of(ImageForm form) {
    switch (form) {
        case ImageForm::raw: return "raw";
        case ImageForm::lz: return "lz";
        case ImageForm::glz: return "glz";
        case ImageForm::zlib_glz: return "zlib_glz";
        case ImageForm::quic: return "quic";
        case ImageForm::jpeg: return "jpeg";
        case ImageForm::jpeg_alpha: return "jpeg_alpha";
        case ImageForm::lz4: return "lz4";
    }
    return "unknown";
}

std::string_view name_of(ImageCompression compression) {
    switch (compression) {
        case ImageCompression::invalid: break;
        case ImageCompression::off: return "off";
        case ImageCompression::auto_glz: return "auto_glz";
        case ImageCompression::auto_lz: return "auto_lz";
        case ImageCompression::quic: return "quic";
        case ImageCompression::glz: return "glz";
        case ImageCompression::lz: return "lz";
        case ImageCompression::lz4: return "lz4";
    }
    return "unknown";
}

ImageForm choose_form(const EncoderOptions& options, const ImageNeeds& needs,
                      const codec::PictureView& picture) {
    const ImageCompression wanted = options.compression;
    const std::size_t bytes = picture.bytes();
    if (wanted == ImageCompression::off || bytes < kLeastBytesToCompress) return ImageForm::raw;
    // A mask of alpha: only LZ has a form for it.
    if (picture.format == codec::PixelFormat::alpha8) return ImageForm::lz;
    if (wanted == ImageCompression::lz4)
        return options.lz4_allowed ? ImageForm::lz4 : ImageForm::lz;
    if (wanted == ImageCompression::lz || wanted == ImageCompression::glz)
        return lz_family(options, needs, wanted == ImageCompression::glz, bytes);
    const bool may_lose = options.may_lose() && !needs.lossless && can_be_jpeg(picture.format);
    const bool quic_fits = picture.width >= kLeastQuicSide && picture.height >= kLeastQuicSide;
    if (wanted == ImageCompression::quic) {
        if (may_lose && is_photo(picture)) return jpeg_form(picture.format);
        return quic_fits ? ImageForm::quic : ImageForm::lz;
    }
    const double share = quic_fits ? photo_share(picture) : 0;
    if (may_lose && share >= kPhotoShare) return jpeg_form(picture.format);
    if (share >= kQuicShare) return ImageForm::quic;
    return lz_family(options, needs, wanted != ImageCompression::auto_lz, bytes);
}

}  // namespace segue::spice::server
