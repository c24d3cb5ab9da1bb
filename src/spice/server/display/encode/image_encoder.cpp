// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/encode/image_encoder.h"

#include <spice/qxl_dev.h>

#include <cstring>

namespace segue::spice::server {
namespace {

namespace display = wire::display;

// Ids of pictures that the server makes itself (QXL_IMAGE_GROUP_RED): never those of a guest.
std::uint64_t image_id(std::uint64_t number) {
    return number << 32 | QXL_IMAGE_GROUP_RED;
}

// The formats that bitmaps on the wire have: 565 is not one of them.
canvas::Format format_on_wire(canvas::Format format) {
    switch (format) {
        case canvas::Format::rgb555:
        case canvas::Format::argb32:
        case canvas::Format::a8: return format;
        default: return canvas::Format::xrgb32;
    }
}

display::BitmapFormat bitmap_format(canvas::Format format) {
    switch (format) {
        case canvas::Format::rgb555: return display::BitmapFormat::sixteen_bit;
        case canvas::Format::argb32: return display::BitmapFormat::rgba;
        case canvas::Format::a8: return display::BitmapFormat::eight_bit_alpha;
        default: return display::BitmapFormat::thirty_two_bit;
    }
}

Result<canvas::Image> snapshot(const canvas::Image& picture, const canvas::Rect& rect) {
    canvas::Image copy = TRY(canvas::Image::create(picture.format(), rect.width(), rect.height()));
    const std::size_t pixel =
        static_cast<std::size_t>(canvas::bits_per_pixel(picture.format())) / 8;
    for (std::int32_t y = 0; y < copy.height(); ++y) {
        std::memcpy(copy.line(y), picture.line(rect.top + y) + rect.left * pixel,
                    copy.line_bytes());
    }
    const canvas::Format wanted = format_on_wire(picture.format());
    if (wanted == picture.format()) return copy;
    return copy.converted(wanted);
}

codec::PixelFormat codec_format(canvas::Format format) {
    switch (format) {
        case canvas::Format::rgb555: return codec::PixelFormat::rgb16;
        case canvas::Format::argb32: return codec::PixelFormat::bgra32;
        case canvas::Format::a8: return codec::PixelFormat::alpha8;
        default: return codec::PixelFormat::bgrx32;
    }
}

// Below this a header would cost more than any compression saves.
constexpr std::size_t kLeastBytesToCompress = 54;

display::BitmapData raw(const canvas::Image& image) {
    display::BitmapData data;
    data.format = bitmap_format(image.format());
    data.flags = display::BitmapFlags::top_down;
    data.width = static_cast<std::uint32_t>(image.width());
    data.height = static_cast<std::uint32_t>(image.height());
    data.stride = static_cast<std::uint32_t>(image.stride());
    const std::size_t size = static_cast<std::size_t>(image.stride()) * data.height;
    data.data = wire::SharedBytes::copy({image.line(0), size});
    return data;
}

}  // namespace

Result<display::Image> ImageEncoder::encode(const canvas::Image& picture,
                                            const canvas::Rect& rect) {
    const canvas::Image pixels = TRY(snapshot(picture, rect));
    const std::size_t raw_size = pixels.line_bytes() * static_cast<std::size_t>(pixels.height());
    ++images_;
    raw_bytes_ += raw_size;
    if (options_.compression != ImageCompression::off && raw_size >= kLeastBytesToCompress) {
        if (std::optional<display::Image> image = encode_lz(pixels)) return std::move(*image);
    }
    display::Image image;
    image.id = image_id(images_);
    image.width = static_cast<std::uint32_t>(pixels.width());
    image.height = static_cast<std::uint32_t>(pixels.height());
    image.type = display::ImageType::bitmap;
    display::BitmapData data = raw(pixels);
    encoded_bytes_ += data.data.size();
    image.data = std::move(data);
    return image;
}

// Nothing where LZ would make it larger.
std::optional<display::Image> ImageEncoder::encode_lz(const canvas::Image& pixels) {
    codec::PictureView view;
    view.format = codec_format(pixels.format());
    view.width = static_cast<std::uint32_t>(pixels.width());
    view.height = static_cast<std::uint32_t>(pixels.height());
    view.rows = pixels.line(0);
    view.stride = pixels.stride();
    Bytes out;
    if (!lz_.encode(view, out) || out.size() >= view.bytes()) return std::nullopt;
    display::Image image;
    image.id = image_id(images_);
    image.width = view.width;
    image.height = view.height;
    image.type = display::ImageType::lz_rgb;
    display::BinaryData data;
    encoded_bytes_ += out.size();
    data.data = wire::SharedBytes::take(std::move(out));
    image.data = std::move(data);
    return image;
}

}  // namespace segue::spice::server
