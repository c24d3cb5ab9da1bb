// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/encode/image_encoder.h"

#include <spice/qxl_dev.h>

#include <cstring>

#include "spice/codec/jpeg_codec.h"
#include "spice/codec/lz4_codec.h"
#include "spice/codec/zlib_codec.h"
#include "spice/server/display/encode/photo.h"

namespace segue::spice::server {
namespace {

namespace display = wire::display;
using wire::operator|;
using codec::PictureView;
using codec::PixelFormat;

constexpr int kJpegQuality = 85;
// Bytes; what is smaller is gathered with others, and goes in one system call with them.
constexpr std::size_t kLeastBorrowed = std::size_t{64} << 10;
// Pixels; what is smaller gains little by where it came from.
constexpr std::size_t kLeastMovingPhoto = std::size_t{96} * 96;

// Ids of pictures that the server makes itself (QXL_IMAGE_GROUP_RED): never those of a guest.
std::uint64_t image_id(std::uint64_t number) {
    return number << 32 | QXL_IMAGE_GROUP_RED;
}

// The formats that bitmaps on the wire have: 565 is not one of them.
PixelFormat format_on_wire(canvas::Format format) {
    switch (format) {
        case canvas::Format::rgb555: return PixelFormat::rgb16;
        case canvas::Format::argb32: return PixelFormat::bgra32;
        case canvas::Format::a8: return PixelFormat::alpha8;
        default: return PixelFormat::bgrx32;
    }
}

bool is_on_wire(canvas::Format format) {
    return format != canvas::Format::rgb565 && format != canvas::Format::a1;
}

display::BitmapFormat bitmap_format(PixelFormat format) {
    switch (format) {
        case PixelFormat::rgb16: return display::BitmapFormat::sixteen_bit;
        case PixelFormat::bgra32: return display::BitmapFormat::rgba;
        case PixelFormat::alpha8: return display::BitmapFormat::eight_bit_alpha;
        default: return display::BitmapFormat::thirty_two_bit;
    }
}

display::ImageType image_type(ImageForm form) {
    switch (form) {
        case ImageForm::raw: return display::ImageType::bitmap;
        case ImageForm::lz: return display::ImageType::lz_rgb;
        case ImageForm::glz: return display::ImageType::glz_rgb;
        case ImageForm::zlib_glz: return display::ImageType::zlib_glz_rgb;
        case ImageForm::quic: return display::ImageType::quic;
        case ImageForm::jpeg: return display::ImageType::jpeg;
        case ImageForm::jpeg_alpha: return display::ImageType::jpeg_alpha;
        case ImageForm::lz4: return display::ImageType::lz4;
    }
    return display::ImageType::bitmap;
}

bool is_windowed(ImageForm form) {
    return form == ImageForm::glz || form == ImageForm::zlib_glz;
}

// Lines of whole words, as the canvas of every client wants them in a bitmap.
std::size_t padded(std::size_t row_bytes) {
    return (row_bytes + 3) / 4 * 4;
}

PictureView view_of(const canvas::Image& image) {
    PictureView view;
    view.format = format_on_wire(image.format());
    view.width = static_cast<std::uint32_t>(image.width());
    view.height = static_cast<std::uint32_t>(image.height());
    view.rows = image.line(0);
    view.stride = image.stride();
    return view;
}

PictureView view_of(const canvas::Image& image, const canvas::Rect& rect) {
    PictureView view = view_of(image);
    view.rows = image.line(rect.top) +
                codec::row_size(view.format, 1) * static_cast<std::size_t>(rect.left);
    view.width = static_cast<std::uint32_t>(rect.width());
    view.height = static_cast<std::uint32_t>(rect.height());
    return view;
}

// Its lines stand one behind the other, without a gap.
bool is_bitmap_as_it_is(const PictureView& view) {
    const std::size_t row = view.row_bytes();
    return padded(row) == row && view.stride == static_cast<std::ptrdiff_t>(row);
}

ByteView lines_of(const PictureView& view) {
    return {view.rows, static_cast<std::size_t>(view.stride) * view.height};
}

display::Image raw(const PictureView& view, wire::SharedBytes lines) {
    display::BitmapData data;
    data.format = bitmap_format(view.format);
    data.flags = display::BitmapFlags::top_down;
    data.width = view.width;
    data.height = view.height;
    data.stride = static_cast<std::uint32_t>(view.stride);
    data.data = std::move(lines);
    display::Image image;
    image.type = display::ImageType::bitmap;
    image.data = std::move(data);
    return image;
}

}  // namespace

Result<ImageEncoder::Snapshot> ImageEncoder::snapshot(const canvas::Image& picture,
                                                      const canvas::Rect& rect) {
    const canvas::Image* from = &picture;
    canvas::Rect part = rect;
    canvas::Image converted;
    if (!is_on_wire(picture.format())) {
        // A view of only those lines: converting the whole picture would cost more than sending it.
        const canvas::Image lines = canvas::Image::wrap(
            picture.format(), picture.width(), static_cast<std::int32_t>(rect.height()),
            picture.stride(), const_cast<std::uint8_t*>(picture.line(rect.top)));
        converted = TRY(lines.converted(canvas::Format::xrgb32));
        from = &converted;
        part.top = 0;
        part.bottom = static_cast<std::int32_t>(rect.height());
    }
    Snapshot made;
    made.view.format = format_on_wire(from->format());
    made.view.width = static_cast<std::uint32_t>(part.width());
    made.view.height = static_cast<std::uint32_t>(part.height());
    const std::size_t row = made.view.row_bytes();
    const std::size_t stride = padded(row);
    const std::size_t size = stride * made.view.height;
    // Not one that is much too large: the dictionary may keep it for long.
    if (spare_ && spare_.use_count() == 1 && spare_->size() >= size && spare_->size() / 2 <= size) {
        made.pixels = std::move(spare_);
    } else {
        made.pixels = std::make_shared<codec::PixelBuffer>(size);
    }
    const std::size_t offset =
        codec::row_size(made.view.format, 1) * static_cast<std::size_t>(part.left);
    for (std::uint32_t y = 0; y < made.view.height; ++y) {
        std::uint8_t* to = made.pixels->data() + y * stride;
        std::memcpy(to, from->line(part.top + static_cast<std::int32_t>(y)) + offset, row);
        if (stride != row) std::memset(to + row, 0, stride - row);
    }
    made.view.rows = made.pixels->data();
    made.view.stride = static_cast<std::ptrdiff_t>(stride);
    return made;
}

bool ImageEncoder::would_lose(const canvas::Image& picture) const {
    const ImageForm form = choose_form(options_, {false, dictionary_ != nullptr}, view_of(picture));
    return form == ImageForm::jpeg || form == ImageForm::jpeg_alpha;
}

std::vector<canvas::Rect> ImageEncoder::parts(const canvas::Image& picture,
                                              const canvas::Rect& rect) const {
    const bool chooses = options_.compression == ImageCompression::auto_glz ||
                         options_.compression == ImageCompression::auto_lz;
    if (!chooses || !is_on_wire(picture.format())) return {rect};
    const PictureView view = view_of(picture, rect);
    std::vector<canvas::Rect> made;
    std::int32_t top = rect.top;
    for (const std::uint32_t end : ends_of_parts(view)) {
        const std::int32_t bottom = rect.top + static_cast<std::int32_t>(end);
        made.push_back({rect.left, top, rect.right, bottom});
        top = bottom;
    }
    return made;
}

// Who asks for LZ4 wants little work on both sides: indices are less of it still.
bool ImageEncoder::takes_palettes() const {
    return options_.palettes_allowed && options_.compression != ImageCompression::off &&
           options_.compression != ImageCompression::quic;
}

ImageForm ImageEncoder::form_of(const PictureView& view, bool lossless) {
    const std::size_t pixels = std::size_t{view.width} * view.height;
    ImageNeeds needs;
    needs.lossless = lossless;
    needs.window = dictionary_ && dictionary_->window_pixels() >= pixels;
    const ImageForm form = choose_form(options_, needs, view);
    const bool may_move = form == ImageForm::quic && needs.window && pixels >= kLeastMovingPhoto &&
                          options_.compression == ImageCompression::auto_glz;
    if (!may_move || !moving_photos_.goes_to_window(dictionary_->known_share(view))) return form;
    return options_.allows(options_.zlib_glz) ? ImageForm::zlib_glz : ImageForm::glz;
}

Result<EncodedImage> ImageEncoder::encode(const canvas::Image& picture, const canvas::Rect& rect,
                                          bool lossless, bool may_borrow) {
    ++images_;
    // Asked first: it is known at once of a photo that it has more colours.
    const bool fits_lz = rect.width() <= codec::kMaxSide && rect.height() <= codec::kMaxSide;
    if (takes_palettes() && is_on_wire(picture.format()) && fits_lz) {
        if (const PictureView part = view_of(picture, rect); indexer_.index(part)) {
            raw_bytes_ += part.bytes();
            return encode_indexed(part);
        }
    }
    may_borrow = may_borrow && options_.compression == ImageCompression::off;
    if (may_borrow && is_on_wire(picture.format())) {
        const PictureView part = view_of(picture, rect);
        if (is_bitmap_as_it_is(part) && part.bytes() >= kLeastBorrowed) return borrowed(part);
    }
    Snapshot pixels = TRY(snapshot(picture, rect));
    const PictureView& view = pixels.view;
    raw_bytes_ += view.bytes();
    ImageForm form = form_of(view, lossless);
    EncodedImage made;
    Bytes out;
    if (is_windowed(form) && !encode_as(form, pixels, out, made.image)) {
        form = ImageForm::lz;  // the dictionary is being handed over
        out.clear();
    }
    if (!is_windowed(form) && form != ImageForm::raw) {
        const bool is_smaller =
            encode_as(form, pixels, out, made.image) && out.size() < view.bytes();
        if (!is_smaller) form = ImageForm::raw;
    }
    made.lossy = form == ImageForm::jpeg || form == ImageForm::jpeg_alpha;
    ++by_form_[static_cast<std::size_t>(form)];
    if (form == ImageForm::raw) {
        // The message holds the snapshot itself until it has left.
        made.image = raw(view, wire::SharedBytes::owned(pixels.pixels, lines_of(view)));
        encoded_bytes_ += view.bytes();
    } else {
        encoded_bytes_ += out.size();
        made.image.type = image_type(form);
        auto data = wire::SharedBytes::take(std::move(out));
        std::visit(
            [&](auto& form_data) {
                if constexpr (requires { form_data.data; }) form_data.data = std::move(data);
            },
            made.image.data);
    }
    spare_ = std::move(pixels.pixels);
    return numbered(std::move(made), view);
}

EncodedImage ImageEncoder::numbered(EncodedImage made, const PictureView& view) {
    made.image.id = image_id(images_);
    made.image.width = view.width;
    made.image.height = view.height;
    return made;
}

// Text in two colours is a thirty-second of its pixels before it is compressed at all.
Result<EncodedImage> ImageEncoder::encode_indexed(const PictureView& view) {
    Bytes out;
    TRY(lz_.encode(indexer_.view(), out));
    ++by_form_[static_cast<std::size_t>(ImageForm::lz)];
    encoded_bytes_ += out.size();
    const PaletteCache::Place place = palettes_.use(indexer_.palette());
    display::LzPaletteData data;
    data.flags = display::BitmapFlags::top_down;
    if (place.is_new) {
        data.flags = data.flags | display::BitmapFlags::pal_cache_me;
        display::Palette palette;
        palette.unique = place.id;
        palette.entries = indexer_.palette();
        data.palette = std::move(palette);
    } else {
        data.flags = data.flags | display::BitmapFlags::pal_from_cache;
        data.palette_id = place.id;
    }
    data.data = wire::SharedBytes::take(std::move(out));
    EncodedImage made;
    made.image.type = display::ImageType::lz_plt;
    made.image.data = std::move(data);
    made.forgot_palette = place.forgot;
    return numbered(std::move(made), view);
}

// Fills the data's own fields; the bytes come from `out`. What zlib makes no smaller stays GLZ.
// Where it fails, no dictionary has kept anything.
Result<> ImageEncoder::encode_as(ImageForm& form, const Snapshot& snapshot, Bytes& out,
                                 display::Image& image) {
    const PictureView& view = snapshot.view;
    image.data = display::BinaryData{};
    switch (form) {
        case ImageForm::raw: return {};
        case ImageForm::lz: return lz_.encode(view, out);
        case ImageForm::glz: return dictionary_->encode(view, snapshot.pixels, out);
        case ImageForm::zlib_glz: {
            TRY(dictionary_->encode(view, snapshot.pixels, out));
            Bytes deflated;
            if (!codec::zlib_encode(out, deflated) || deflated.size() >= out.size()) {
                form = ImageForm::glz;
                return {};
            }
            display::ZlibGlzData data;
            data.glz_data_size = static_cast<std::uint32_t>(out.size());
            image.data = std::move(data);
            out = std::move(deflated);
            return {};
        }
        case ImageForm::quic: return quic_.encode(view, out);
        case ImageForm::lz4: return codec::lz4_encode(view, out);
        case ImageForm::jpeg: return codec::jpeg_encode(view, kJpegQuality, out);
        case ImageForm::jpeg_alpha: {
            TRY(codec::jpeg_encode(view, kJpegQuality, out));
            display::JpegAlphaData data;
            data.flags = display::JpegAlphaFlags::top_down;
            data.jpeg_size = static_cast<std::uint32_t>(out.size());
            image.data = std::move(data);
            return lz_.encode_alpha(view, out);
        }
    }
    return {};
}

EncodedImage ImageEncoder::borrowed(const PictureView& view) {
    raw_bytes_ += view.bytes();
    encoded_bytes_ += view.bytes();
    ++by_form_[static_cast<std::size_t>(ImageForm::raw)];
    EncodedImage made;
    made.image = raw(view, wire::SharedBytes::borrow(lines_of(view)));
    return numbered(std::move(made), view);
}

}  // namespace segue::spice::server
